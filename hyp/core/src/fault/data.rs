//! What an emulated access moves between a register and a device.

use crate::esr::{Access, Width};

/// What register `access.register()` holds after an emulated load.
///
/// `raw` is the device's little-endian value; bits beyond the access's width are dropped, so a
/// device model cannot write into them. `big_endian` is the guest's setting
/// ([`crate::inject::is_big_endian`]). The sign is extended after the value was cut to its
/// width, and a W register's upper half is zero.
#[inline(always)]
#[must_use]
pub const fn load_result(access: Access, raw: u64, big_endian: bool) -> u64 {
    let value = in_order(access.width(), raw, big_endian);
    let extended = if access.sign_extend() {
        // Move the value's sign to bit 63 and back.
        let unused = match access.width() {
            Width::Byte => 56,
            Width::Half => 48,
            Width::Word => 32,
            Width::Double => 0,
        };
        ((value << unused).cast_signed() >> unused).cast_unsigned()
    } else {
        value
    };
    if access.is_64bit() { extended } else { extended & Width::Word.mask() }
}

/// What a device sees of an emulated store, as a little-endian value.
///
/// `register` is the whole register, 0 for the zero register; nothing beyond the access's width
/// leaves the guest.
#[inline(always)]
#[must_use]
pub const fn store_value(access: Access, register: u64, big_endian: bool) -> u64 {
    in_order(access.width(), register, big_endian)
}

/// The low `width` bytes of `value`, reversed for a big-endian guest.
#[inline(always)]
const fn in_order(width: Width, value: u64, big_endian: bool) -> u64 {
    let value = value & width.mask();
    if big_endian { reversed(width, value) } else { value }
}

/// The low `width` bytes of `value` from last to first.
#[cold]
const fn reversed(width: Width, value: u64) -> u64 {
    match width {
        Width::Byte => value,
        Width::Half => value.swap_bytes() >> 48,
        Width::Word => value.swap_bytes() >> 32,
        Width::Double => value.swap_bytes(),
    }
}
