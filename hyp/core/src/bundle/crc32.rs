//! CRC-32 as in ISO 3309, zlib and FIT: reflected polynomial 0xEDB8_8320, four bytes at a time.

/// `TABLES[n][byte]`: what `byte`, followed by `n` zero bytes, adds to the remainder.
static TABLES: [[u32; 256]; 4] = tables();

#[expect(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, where a wrong index is an error"
)]
const fn tables() -> [[u32; 256]; 4] {
    let mut tables = [[0; 256]; 4];
    let mut byte = 0;
    while byte < 256 {
        let mut remainder = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            let carry = remainder & 1;
            remainder = (remainder >> 1) ^ (0xedb8_8320 * carry);
            bit += 1;
        }
        tables[0][byte] = remainder;
        byte += 1;
    }
    let mut zeros = 1;
    while zeros < 4 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[zeros - 1][byte];
            tables[zeros][byte] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        zeros += 1;
    }
    tables
}

/// The CRC-32 of what `crc` stands for followed by `bytes`; 0 stands for nothing.
#[must_use]
pub fn update(crc: u32, bytes: &[u8]) -> u32 {
    let [last, third, second, first] = &TABLES;
    let at = |table: &[u32; 256], byte: u8| table.get(usize::from(byte)).copied().unwrap_or(0);
    let (words, rest) = bytes.as_chunks::<4>();
    let mut remainder = !crc;
    for word in words {
        let [a, b, c, d] = (remainder ^ u32::from_le_bytes(*word)).to_le_bytes();
        remainder = at(first, a) ^ at(second, b) ^ at(third, c) ^ at(last, d);
    }
    for byte in rest {
        let [low, ..] = remainder.to_le_bytes();
        remainder = (remainder >> 8) ^ at(last, low ^ byte);
    }
    !remainder
}

/// As [`update`], slowly and with 64 bytes of tables: for an image that has no room for more.
#[must_use]
pub fn update_compact(crc: u32, bytes: &[u8]) -> u32 {
    /// What each value of four bits adds to the remainder.
    const NIBBLES: [u32; 16] = [
        0,
        0x1db7_1064,
        0x3b6e_20c8,
        0x26d9_30ac,
        0x76dc_4190,
        0x6b6b_51f4,
        0x4db2_6158,
        0x5005_713c,
        0xedb8_8320,
        0xf00f_9344,
        0xd6d6_a3e8,
        0xcb61_b38c,
        0x9b64_c2b0,
        0x86d3_d2d4,
        0xa00a_e278,
        0xbdbd_f21c,
    ];
    let half = |remainder: u32| {
        let [low, ..] = remainder.to_le_bytes();
        (remainder >> 4) ^ NIBBLES.get(usize::from(low & 0xf)).copied().unwrap_or(0)
    };
    !bytes.iter().fold(!crc, |remainder, byte| half(half(remainder ^ u32::from(*byte))))
}

#[cfg(test)]
mod tests {
    use super::{update, update_compact};

    #[test]
    fn known_answers() {
        // The check value of CRC-32/ISO-HDLC in the catalogue of parametrised CRC algorithms.
        assert_eq!(update(0, b"123456789"), 0xcbf4_3926);
        assert_eq!(update(0, b""), 0);
        assert_eq!(update_compact(0, b"123456789"), 0xcbf4_3926);
        // RFC 3720's all-zero vector is another CRC; this one is from zlib.
        assert_eq!(update(0, &[0; 32]), 0x190a_55ad);
    }

    #[test]
    fn pieces_add_up_wherever_they_are_cut() {
        let bytes: [u8; 23] = core::array::from_fn(|at| u8::try_from(at * 11 % 251).unwrap());
        for cut in 0..=bytes.len() {
            let (head, tail) = bytes.split_at(cut);
            assert_eq!(update(update(0, head), tail), update(0, &bytes), "cut at {cut}");
            assert_eq!(update_compact(update(0, head), tail), update(0, &bytes), "cut at {cut}");
        }
    }
}
