//! Whatever stops a boot has a remedy.

use clap::CommandFactory as _;

use super::*;
use crate::cli::Cli;

/// One report for each thing that can stop a boot.
fn stopped() -> Vec<Report> {
    let tree = zcu102();
    let with = |old: &[u8], new: &[u8]| {
        let mut tree = tree.clone();
        let at = tree.windows(old.len()).position(|bytes| bytes == old).unwrap();
        tree[at..at + new.len()].copy_from_slice(new);
        checked(&tree, None, |_| {})
    };
    let at = |change: fn(&mut Loads<'_>)| checked(&tree, Some(Board::Zcu102), change);
    vec![
        with(b"arm,pl011\0", b"arm,pl099\0"),
        with(b"arm,gic-400", b"arm,gic-999"),
        with(b"arm,psci-1.0\0", b"arm,psci\0\0\0\0\0"),
        with(b"smc\0", b"hvc\0"),
        with(b"smc\0", b"smd\0"),
        with(b"cpus\0", b"cpuz\0"),
        checked(&board(&[], true, Vec::new()), None, |_| {}),
        checked(&board(&[[0xf900_0000, 0x10_0000]], true, Vec::new()), None, |_| {}),
        at(|loads| loads.tree_at = Some(0x4000_0004)),
        at(|loads| loads.bundle_at = Some(0x1808_0000)),
        at(|loads| loads.image_at = Some(0x7ff8_0000)),
        at(|loads| loads.bundle_at = Some(u64::MAX - 7)),
    ]
}

/// An option that is named as the remedy has to be one of `board-check` and `image`, else nobody is helped.
#[test]
fn every_stop_has_a_remedy_that_there_is() {
    let cli = Cli::command();
    let options = |command: &str| -> Vec<String> {
        let command = cli.find_subcommand(command).unwrap();
        command.get_arguments().filter_map(|one| one.get_long()).map(str::to_owned).collect()
    };
    let (check, image) = (options("board-check"), options("image"));
    for report in stopped() {
        assert!(!report.passes());
        for (text, remedy) in remedies(&report) {
            let mut quoted = remedy.split('`').skip(1).step_by(2).peekable();
            let is_none = remedy.starts_with("none: ") || remedy.starts_with("none where ");
            assert!(is_none || quoted.peek().is_some(), "{text}: {remedy}");
            for words in quoted {
                let mut words = words.split(' ').peekable();
                let known = if words.next_if_eq(&"image").is_some() { &image } else { &check };
                for option in words.filter_map(|word| word.strip_prefix("--")) {
                    assert!(known.iter().any(|one| one == option), "{remedy}");
                }
            }
        }
    }
}

#[test]
fn each_remedy_fits_its_stop() {
    let all = stopped();
    let find = |words: &str| -> String {
        let all = all.iter().flat_map(remedies);
        let mut found = all.filter(|(text, _)| text.contains(words)).map(|(_, remedy)| remedy);
        found.next_back().unwrap_or_else(|| panic!("{words}")).to_owned()
    };
    for (words, remedy) in [
        ("lists no memory", "`--memory ADDRESS:SIZE`"),
        ("multiple of 8", "`--tree-addr`"),
        ("image at 0x80000000", "`--image-addr`"),
        ("64-bit addresses", "`--bundle-addr`"),
        ("and the bundle at", "`--image-addr` or `--bundle-addr`"),
        ("lists no GIC", "none: "),
        ("PSCI 0.1", "none: "),
        ("neither \"smc\"", "`image --tree FILE`"),
        ("no CPU", "`image --tree FILE`"),
    ] {
        assert!(find(words).contains(remedy), "{words}: {}", find(words));
    }
}

#[test]
fn a_vm_that_does_not_fit_is_told_its_key() {
    let kernel = tempfile::NamedTempFile::new().unwrap();
    fs::write(kernel.path(), [0; 64]).unwrap();
    let describe = |words: &str| {
        let mut words: toml::Table = words.parse().unwrap();
        words.insert("kernel".into(), kernel.path().to_str().unwrap().into());
        crate::vm_desc::preset::describe(words)
    };
    let remedy = |words: &str| -> String {
        let bundle = crate::bundle::build(&[describe(words).unwrap()]).unwrap().bytes;
        let mut report = Report::default();
        let subject = zcu102();
        look(&Subject::read(&subject).unwrap(), &Loads::default(), Some(&bundle), &mut report)
            .unwrap();
        remedies(&report.conclude())[0].1.to_owned()
    };
    let fewer = remedy("cpus = 8");
    let key = fewer.split('`').nth(1).unwrap();
    assert_eq!(key, "cpus = 4");
    assert!(describe(key).is_ok());
    assert!(remedy("mem = '9G'").contains("`mem`") && describe("mem = '1G'").is_ok());
}
