//! What scripts go by.

use super::*;

#[test]
fn programs_get_a_status_and_json_that_stay() {
    let scratch = tempfile::tempdir().unwrap();
    let write = |name: &str, tree: &[u8]| {
        let path = scratch.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, tree).unwrap();
        path
    };
    let good = write("nxp/b.dtb", &zcu102());
    let bad = write("arm/a.dtb", &board(&[], true, Vec::new()));
    write("arm/readme.txt", b"no tree");
    let found = files(&[scratch.path().to_owned()]).unwrap();
    assert_eq!(found, [bad.clone(), good.clone()]);
    let options = Options::default();
    let check = |path: &Path| options.check(path, &Loads::default(), None).unwrap();
    assert_eq!(status(&[check(&good)]), 0);
    assert_eq!(status(&[check(&good), check(&bad)]), 1);
    let damaged = write("c.dtb", &zcu102()[..200]);
    let damaged = check(&damaged);
    assert!(damaged.findings[0].text.contains("cut short"), "{:?}", damaged.findings);
    let lines = text::lines(&[check(&good), check(&bad)]);
    assert!(lines.contains("a.dtb: no-memory") && lines.contains("1 of 2 boot"), "{lines}");
    let json = serde_json::to_string(&check(&bad)).unwrap();
    let keys = ["tree", "board", "source", "model", "boots", "machine", "firmware_adds", "places"];
    let places: Vec<_> =
        keys.iter().map(|key| json.find(&format!("\"{key}\":")).unwrap()).collect();
    assert!(places.is_sorted(), "{json}");
    assert!(json.contains(r#""severity":"stop","topic":"memory","cause":"no-memory","text":"#));
    assert!(json.contains(r#""remedy":"firmware fills"#), "{json}");
    assert_eq!(status(&[damaged, check(&good)]), 2);
    fs::remove_file(&good).unwrap();
    fs::remove_file(&bad).unwrap();
    assert!(files(&[scratch.path().join("nxp")]).is_err());
}
