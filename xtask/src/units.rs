//! Sizes as people write and read them.

use anyhow::{Result, bail};

/// Bytes in a size such as `512M`, `2G`, `64KiB` or `4096`; the suffixes are powers of 1024.
///
/// # Errors
///
/// Not a number, an unknown suffix, or more than 64 bits.
pub fn parse_size(text: &str) -> Result<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let shift = match suffix.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => bail!("`{text}` is not a size; write for example 512M or 2G"),
    };
    let Ok(number) = number.parse::<u64>() else {
        bail!("`{text}` is not a size; write for example 512M or 2G");
    };
    match number.checked_mul(1 << shift) {
        Some(bytes) => Ok(bytes),
        None => bail!("`{text}` is more than 64 bits of bytes"),
    }
}

/// An address, hexadecimal with `0x` or decimal; underscores may part the digits.
///
/// # Errors
///
/// Not a number, or more than 64 bits.
pub fn parse_address(text: &str) -> Result<u64> {
    let digits = text.replace('_', "");
    let parsed = match digits.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => digits.parse(),
    };
    match parsed {
        Ok(address) if !text.starts_with('+') => Ok(address),
        _ => bail!("`{text}` is not an address; write for example 0x40200000"),
    }
}

/// `bytes` for a person: `512 MiB`, `1.5 KiB`.
pub fn shown_size(bytes: u64) -> String {
    for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
        let one = 1_u64 << shift;
        if bytes >= one {
            let tenths = u128::from(bytes) * 10 / u128::from(one);
            return match tenths % 10 {
                0 => format!("{} {unit}", tenths / 10),
                rest => format!("{}.{rest} {unit}", tenths / 10),
            };
        }
    }
    format!("{bytes} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_and_without_suffix() {
        for (text, bytes) in [
            ("4096", 4096),
            ("64k", 65_536),
            ("64KiB", 65_536),
            ("512M", 536_870_912),
            ("2G", 2_147_483_648),
        ] {
            assert_eq!(parse_size(text).unwrap(), bytes, "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "M", "-1", "1.5G", "12 M", "5T", "99999999999999999999", "99999999999G"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn addresses_are_hexadecimal_or_decimal() {
        assert_eq!(parse_address("0x4020_0000").unwrap(), 0x4020_0000);
        assert_eq!(parse_address("4096").unwrap(), 4096);
        assert_eq!(parse_address("0xffff_ffff_ffff_ffff").unwrap(), u64::MAX);
        for wrong in ["", "0x", "-1", "+1", "40M", "0xg", "0x1_0000_0000_0000_0000"] {
            assert!(parse_address(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_are_shown_in_the_largest_unit() {
        assert_eq!(shown_size(100), "100 bytes");
        assert_eq!(shown_size(1536), "1.5 KiB");
        assert_eq!(shown_size(512 << 20), "512 MiB");
        assert_eq!(shown_size(u64::MAX), "17179869183.9 GiB");
    }
}
