//! What a UART's driver does. Which one there is, [`super::uart`] knows.

/// A UART that only moves bytes between its FIFOs and its caller and keeps the baud rate that
/// firmware chose. Whoever copies it has the same device.
pub(super) trait Port: Copy {
    /// Takes the UART, which is idle, over from firmware: both directions and FIFOs on, interrupts
    /// off.
    fn take_over(&mut self);

    /// Bytes that the transmit FIFO takes at least, now; 0 if it takes none.
    fn room(self) -> usize;

    /// Sends a byte for which there is [`Port::room`].
    fn push(self, byte: u8);

    /// Takes one byte that was received. Errors of the line are not told apart.
    fn pull(self) -> Option<u8>;

    /// Whether the last byte is on the wire.
    fn is_idle(self) -> bool;

    /// Chooses the interrupts: for received bytes if `receive`, and when the transmit FIFO drains
    /// if `transmit`.
    fn set_interrupts(self, receive: bool, transmit: bool);

    /// Ends every interrupt that is pending and enabled, except for received bytes, where a write
    /// is needed to end them. Before FIFOs are served, so that what happens meanwhile is not lost.
    ///
    /// That bytes were received ends when they are read, and not before: they may have to stay in
    /// the FIFO for a while, and the interrupt has to come back for them.
    fn acknowledge(self);
}
