//! Text on the firmware's console.

use uefi_raw::Status;

use crate::firmware::Firmware;

impl Firmware {
    /// Puts out `text`, ASCII.
    pub(crate) fn text(&self, text: &str) {
        for byte in text.bytes() {
            if byte == b'\n' {
                self.put_out(b'\r');
            }
            self.put_out(byte);
        }
    }

    /// Begins to tell of an error, with `text`.
    #[inline(never)]
    pub(crate) fn error(&self, text: &str) {
        self.text("\n[postern] ERROR: ");
        self.text(text);
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
        if number >= 10 {
            self.number(number / 10);
        }
        // A digit is less than ten.
        self.put_out(b'0'.wrapping_add((number % 10).to_le_bytes()[0]));
    }
}
