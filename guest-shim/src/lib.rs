//! What a guest links to speak the pKVM guest ABI.
#![no_std]
