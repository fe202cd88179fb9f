use std::fs;
use std::path::Path;

use super::ALL;

/// The inputs that are kept in `corpus`, by target: a finding stays found without libFuzzer.
#[test]
fn kept_inputs() {
    for target in ALL {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
        let mut count = 0;
        for item in fs::read_dir(&folder).unwrap() {
            let input = fs::read(item.unwrap().path()).unwrap();
            (target.run)(&input);
            count += 1;
        }
        println!("{}: {count} inputs", target.name);
        assert!(count > 0, "{} has no inputs", target.name);
    }
}
