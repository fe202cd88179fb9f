//! True Random Number Generator firmware interface (DEN0098): ids, codes, limits.

use crate::smccc::{FunctionId, owner};

/// `TRNG_VERSION`.
pub const VERSION: FunctionId = FunctionId::fast32(owner::STANDARD, 0x50);
/// `TRNG_FEATURES`.
pub const FEATURES: FunctionId = FunctionId::fast32(owner::STANDARD, 0x51);
/// `TRNG_GET_UUID`.
pub const GET_UUID: FunctionId = FunctionId::fast32(owner::STANDARD, 0x52);
/// `TRNG_RND`, 32-bit form.
pub const RND_32: FunctionId = FunctionId::fast32(owner::STANDARD, 0x53);
/// `TRNG_RND`, 64-bit form.
pub const RND_64: FunctionId = FunctionId::fast64(owner::STANDARD, 0x53);

/// Interface version 1.0.
pub const VERSION_1_0: u64 = 0x1_0000;
/// The most bits one 32-bit call may ask for.
pub const MAX_BITS_32: u64 = 96;
/// The most bits one 64-bit call may ask for.
pub const MAX_BITS_64: u64 = 192;

/// The interface is not there.
pub const NOT_SUPPORTED: i64 = -1;
/// Too many bits, or none.
pub const INVALID_PARAMETERS: i64 = -2;
/// Not enough entropy now; call again.
pub const NO_ENTROPY: i64 = -3;
