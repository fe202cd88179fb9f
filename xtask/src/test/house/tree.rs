//! Which package may depend on which.

use toml::Table;

use super::files::Files;

/// Packages and the packages of this tree that they may depend on.
const ARROWS: &[(&str, &[&str])] = &[
    ("hyp/abi", &[]),
    ("hyp/core", &["hyp-abi"]),
    ("hyp", &["ghost", "hyp-abi", "hyp-core"]),
    ("hyp/efi", &["hyp-abi", "hyp-core"]),
    ("guest-shim", &["hyp-abi"]),
    ("guest-shim/c", &["guest-shim"]),
    ("tests/conformance", &["guest-shim", "hyp-abi"]),
    ("tests/ghost", &[]),
    ("tests/interleave", &["hyp-abi"]),
    ("tests/model", &[]),
    ("xtask", &["hyp-abi", "hyp-core"]),
];

const OURS: &[&str] = &[
    "conformance",
    "ghost",
    "guest-shim",
    "guest-shim-c",
    "hyp",
    "hyp-abi",
    "hyp-core",
    "hyp-efi",
    "xtask",
];

/// `hyp -> hyp-core -> hyp-abi <- guest-shim`, and nothing the other way.
pub fn arrows(files: &Files) -> Vec<String> {
    let mut breaches = Vec::new();
    for (package, allowed) in ARROWS {
        let path = format!("{package}/Cargo.toml");
        let Some(manifest) = files.get(&path) else {
            breaches.push(format!("{path}: missing"));
            continue;
        };
        match manifest.text.parse::<Table>() {
            Err(error) => breaches.push(format!("{path}: {}", error.message())),
            Ok(table) => breaches.extend(
                dependencies(&table)
                    .into_iter()
                    .filter(|name| OURS.contains(&name.as_str()))
                    .filter(|name| !allowed.contains(&name.as_str()))
                    .map(|name| format!("{path}: must not depend on {name}")),
            ),
        }
    }
    breaches
}

/// Names of ordinary and target-specific dependencies; what only tests use may point anywhere.
fn dependencies(manifest: &Table) -> Vec<String> {
    let mut names = Vec::new();
    for (key, value) in manifest {
        let Some(table) = value.as_table() else { continue };
        match key.as_str() {
            "dependencies" | "build-dependencies" => names.extend(table.keys().cloned()),
            "target" => {
                names.extend(table.values().filter_map(|of| of.as_table()).flat_map(dependencies));
            }
            _ => {}
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_point_one_way() {
        let plain = "[package]\nname = \"x\"\n";
        let mut manifests: Vec<(String, String)> = ARROWS
            .iter()
            .map(|(package, _)| (format!("{package}/Cargo.toml"), plain.to_owned()))
            .collect();
        let check = |manifests: &[(String, String)]| {
            let pairs: Vec<_> = manifests.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
            arrows(&Files::of(&pairs))
        };
        assert!(check(&manifests).is_empty());
        manifests[1].1.push_str("[target.'cfg(x)'.dependencies]\nhyp.workspace = true\n");
        assert_eq!(check(&manifests), ["hyp/core/Cargo.toml: must not depend on hyp"]);
        manifests[1].1 = format!("{plain}[dev-dependencies]\nhyp.workspace = true\n");
        assert!(check(&manifests).is_empty());
        manifests.remove(0);
        assert_eq!(check(&manifests), ["hyp/abi/Cargo.toml: missing"]);
    }
}
