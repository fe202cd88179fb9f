//! A byte queue of fixed size.

/// First in, first out; refuses what does not fit instead of overwriting.
#[derive(Debug)]
pub struct Ring<const N: usize> {
    bytes: [u8; N],
    head: usize,
    len: usize,
}

impl<const N: usize> Ring<N> {
    /// An empty queue of `N` bytes.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: [0; N], head: 0, len: 0 }
    }

    /// Bytes waiting.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that still fit.
    #[must_use]
    pub const fn room(&self) -> usize {
        N.saturating_sub(self.len)
    }

    /// Appends one byte; `false`, and no change, where it is full.
    pub fn push(&mut self, byte: u8) -> bool {
        if self.len >= N {
            return false;
        }
        let at = Self::wrap(self.head.wrapping_add(self.len));
        match self.bytes.get_mut(at) {
            Some(slot) => *slot = byte,
            None => return false,
        }
        self.len = self.len.wrapping_add(1);
        true
    }

    /// Takes the oldest byte.
    pub fn pop(&mut self) -> Option<u8> {
        if self.len == 0 {
            return None;
        }
        let byte = self.bytes.get(self.head).copied();
        self.head = Self::wrap(self.head.wrapping_add(1));
        self.len = self.len.wrapping_sub(1);
        byte
    }

    /// `at` brought back into the buffer; `at` is below 2 N.
    const fn wrap(at: usize) -> usize {
        if at >= N { at.wrapping_sub(N) } else { at }
    }
}

impl<const N: usize> Default for Ring<N> {
    fn default() -> Self {
        Self::new()
    }
}
