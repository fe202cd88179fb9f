//! The stanzas that apt-cache prints, as far as they matter here.

/// One version of a package in the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Package {
    /// Its name, without architecture.
    pub(crate) name: String,
    /// Its full Debian version.
    pub(crate) version: String,
    /// Its architecture, `all` included.
    pub(crate) architecture: String,
    /// The packages it depends on, as the index words it.
    pub(crate) depends: String,
    /// Size of the package file in bytes.
    pub(crate) size: u64,
    /// SHA-256 of the package file in hexadecimal digits.
    pub(crate) sha256: String,
}

impl Package {
    /// The packages in a text of stanzas; incomplete stanzas are left out.
    pub(super) fn parse_all(text: &str) -> Vec<Self> {
        text.split("\n\n").filter_map(Self::parse).collect()
    }

    fn parse(stanza: &str) -> Option<Self> {
        let field = |name: &str| {
            stanza.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            })
        };
        Some(Self {
            name: field("Package")?,
            version: field("Version")?,
            architecture: field("Architecture")?,
            depends: field("Depends").unwrap_or_default(),
            size: field("Size")?.parse().ok()?,
            sha256: field("SHA256").filter(|sum| sum.len() == 64)?,
        })
    }

    /// How apt-get is told to take exactly this version.
    pub(super) fn selector(&self) -> String {
        if self.architecture == "all" {
            format!("{}={}", self.name, self.version)
        } else {
            format!("{}:{}={}", self.name, self.architecture, self.version)
        }
    }

    /// The name of the package's file in the cache.
    pub(super) fn file_name(&self) -> String {
        format!("{}_{}_{}.deb", self.name, self.version.replace(':', "%3a"), self.architecture)
    }

    /// The first dependency whose name starts with `prefix`.
    pub(crate) fn dependency(&self, prefix: &str) -> Option<&str> {
        self.depends
            .split(',')
            .filter_map(|one| one.split_whitespace().next())
            .find(|name| name.starts_with(prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOWN: &str = "Package: linux-image-cloud-arm64\nSource: linux-signed-arm64 (6.1.176+1)\n\
        Version: 6.1.176-1\nArchitecture: arm64\nDepends: linux-image-6.1.0-50-cloud-arm64 (= \
        6.1.176-1), other\nSize: 1484\nSHA256: \
        0123456789012345678901234567890123456789012345678901234567890123\n\n\
        Package: cut\nVersion: 1\n";

    #[test]
    fn stanzas_are_read_and_incomplete_ones_left_out() {
        let all = Package::parse_all(SHOWN);
        let [package] = all.as_slice() else { panic!("{all:?}") };
        assert_eq!(package.version, "6.1.176-1");
        assert_eq!(package.size, 1484);
        assert_eq!(package.selector(), "linux-image-cloud-arm64:arm64=6.1.176-1");
        assert_eq!(package.dependency("linux-image-"), Some("linux-image-6.1.0-50-cloud-arm64"));
        assert_eq!(package.dependency("linux-binary-"), None);
    }

    #[test]
    fn a_package_for_all_architectures_is_chosen_without_one() {
        let mut package = Package::parse_all(SHOWN).remove(0);
        package.architecture = "all".to_owned();
        package.version = "1:7.3-1".to_owned();
        assert_eq!(package.selector(), "linux-image-cloud-arm64=1:7.3-1");
        assert_eq!(package.file_name(), "linux-image-cloud-arm64_1%3a7.3-1_all.deb");
    }
}
