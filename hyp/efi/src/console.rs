//! Text on the firmware's console.

use uefi_raw::Status;

use crate::firmware::Firmware;

/// The firmware's console, with the line ends that it wants.
#[derive(Debug)]
pub(crate) struct Console<'a>(pub(crate) &'a Firmware);

impl Console<'_> {
    /// Puts out `text`, ASCII.
    pub(crate) fn text(&self, text: &str) {
        for byte in text.bytes() {
            if byte == b'\n' {
                self.0.put_out(b'\r');
            }
            self.0.put_out(byte);
        }
    }

    /// Puts out what the firmware has answered, in the numbers of UEFI Specification 2.10, appendix
    /// D "Status Codes".
    pub(crate) fn status(&self, status: Status) {
        // The highest bit marks an error.
        self.text(" (EFI status ");
        self.number(u64::from(u32::MAX) & status.0 as u64);
        self.text(")");
    }

    /// Puts out a decimal number.
    pub(crate) fn number(&self, number: u64) {
        let mut scale = 1_u64;
        while let Some(next) = scale.checked_mul(10).filter(|next| *next <= number) {
            scale = next;
        }
        while scale > 0 {
            // A digit is less than ten.
            let digit = number.checked_div(scale).unwrap_or(0) % 10;
            self.0.put_out(b'0'.wrapping_add(digit.to_le_bytes()[0]));
            scale /= 10;
        }
    }
}
