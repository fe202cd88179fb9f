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

#[cfg(test)]
mod tests {
    use super::update;

    #[test]
    fn known_answers() {
        // The check value of CRC-32/ISO-HDLC in the catalogue of parametrised CRC algorithms.
        assert_eq!(update(0, b"123456789"), 0xcbf4_3926);
        assert_eq!(update(0, b""), 0);
        // RFC 3720's all-zero vector is another CRC; this one is from zlib.
        assert_eq!(update(0, &[0; 32]), 0x190a_55ad);
    }

    #[test]
    fn pieces_add_up_wherever_they_are_cut() {
        let bytes: [u8; 23] = core::array::from_fn(|at| u8::try_from(at * 11 % 251).unwrap());
        for cut in 0..=bytes.len() {
            let (head, tail) = bytes.split_at(cut);
            assert_eq!(update(update(0, head), tail), update(0, &bytes), "cut at {cut}");
        }
    }
}
