use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::vec::Vec;

fn word(uart: &mut Pl011, offset: u64) -> u64 {
    uart.read(offset, Width::Word)
}

/// As Linux's driver leaves it after startup: FIFOs on, both triggers at 1/2, RX and RT unmasked.
fn started() -> Pl011 {
    let mut uart = Pl011::new();
    uart.write(0x02c, Width::Word, 0x70);
    uart.write(0x030, Width::Word, 0x301);
    uart.write(0x034, Width::Word, 0x12);
    uart.write(0x038, Width::Word, 0x50);
    uart
}

#[test]
fn identifies_as_an_arm_primecell_with_deep_fifos() {
    let mut uart = Pl011::new();
    let id: Vec<u64> = (0..8).map(|n| word(&mut uart, 0xfe0 + 4 * n)).collect();
    assert_eq!(id, [0x11, 0x10, 0x34, 0, 0x0d, 0xf0, 0x05, 0xb1]);
}

#[test]
fn registers_have_their_reset_values() {
    let mut uart = Pl011::new();
    assert_eq!(word(&mut uart, 0x018), 0x90, "FR: both FIFOs empty");
    assert_eq!(word(&mut uart, 0x030), 0x300, "CR");
    assert_eq!(word(&mut uart, 0x034), 0x12, "IFLS");
    assert_eq!(word(&mut uart, 0x03c), 0, "RIS");
    assert!(!uart.irq_line());
}

#[test]
fn a_guest_that_never_set_it_up_prints_and_reads() {
    let mut uart = Pl011::new();
    uart.write(0, Width::Byte, u64::from(b'x'));
    assert_eq!(word(&mut uart, 0x018) & 0x20, 0x20, "one holding register: full");
    assert_eq!(uart.take_tx(), Some(b'x'));
    assert_eq!(word(&mut uart, 0x018), 0x90);
    assert!(uart.push_rx(b'y'));
    assert!(!uart.push_rx(b'z'), "no room");
    assert_eq!(uart.read(0, Width::Byte), u64::from(b'y'));
    assert!(uart.push_rx(b'z'));
}

#[test]
fn the_transmit_fifo_fills_and_says_so() {
    let mut uart = started();
    for n in 0..32u64 {
        assert_eq!(word(&mut uart, 0x018) & 0x20, 0, "{n} bytes");
        uart.write(0, Width::Word, n);
    }
    assert_eq!(word(&mut uart, 0x018) & 0xa8, 0x28, "full, busy, not empty");
    uart.write(0, Width::Word, 0xee);
    let sent: Vec<u8> = core::iter::from_fn(|| uart.take_tx()).collect();
    assert_eq!(sent, (0..32).collect::<Vec<u8>>());
}

#[test]
fn the_transmit_interrupt_comes_at_the_trigger_level() {
    let mut uart = started();
    uart.write(0x038, Width::Word, 0x20);
    for _ in 0..20 {
        uart.write(0, Width::Word, 0);
    }
    for left in (16..20).rev() {
        assert!(!uart.irq_line());
        assert!(uart.take_tx().is_some());
        assert_eq!(uart.irq_line(), left == 16);
    }
    uart.write(0x044, Width::Word, 0x20);
    assert!(!uart.irq_line(), "cleared by ICR");
    uart.take_tx();
    assert!(uart.irq_line());
    uart.write(0, Width::Word, 0);
    uart.write(0, Width::Word, 0);
    assert!(!uart.irq_line(), "cleared by filling above the trigger");
}

#[test]
fn input_below_the_trigger_is_a_timeout_and_at_it_a_receive_interrupt() {
    let mut uart = started();
    for n in 0..15 {
        assert!(uart.push_rx(n));
        assert_eq!(word(&mut uart, 0x040), 0x40);
    }
    assert!(uart.push_rx(15));
    assert_eq!(word(&mut uart, 0x040), 0x50);
    word(&mut uart, 0);
    assert_eq!(word(&mut uart, 0x040), 0x40, "below the trigger again");
    for _ in 0..15 {
        assert!(uart.irq_line());
        word(&mut uart, 0);
    }
    assert!(!uart.irq_line(), "empty");
}

/// DDI0183, table 3-13: 1/8, 1/4, 1/2, 3/4, 7/8; without FIFOs a byte is all there is to wait for.
#[test]
fn the_trigger_levels_are_those_of_the_manual() {
    for (field, level) in [(0, 4), (1, 8), (2, 16), (3, 24), (4, 28), (7, 28)] {
        let mut uart = started();
        uart.write(0x034, Width::Word, field << 3 | field);
        for _ in 1..level {
            assert!(uart.push_rx(0));
            assert_eq!(word(&mut uart, 0x03c) & 0x10, 0, "receive, {field}");
        }
        assert!(uart.push_rx(0));
        assert_eq!(word(&mut uart, 0x03c) & 0x10, 0x10, "receive, {field}");

        (0..32).for_each(|n| uart.write(0, Width::Word, n));
        uart.write(0x044, Width::Word, 0x20);
        for _ in level + 1..32 {
            assert!(uart.take_tx().is_some());
            assert_eq!(word(&mut uart, 0x03c) & 0x20, 0, "transmit, {field}");
        }
        assert!(uart.take_tx().is_some());
        assert_eq!(word(&mut uart, 0x03c) & 0x20, 0x20, "transmit, {field}");
    }
    let mut uart = started();
    uart.write(0x02c, Width::Word, 0x60);
    assert!(uart.push_rx(0));
    assert_eq!(word(&mut uart, 0x03c) & 0x50, 0x50, "one byte fills the holding register");
}

#[test]
fn switching_the_fifos_empties_what_was_received() {
    let mut uart = started();
    assert!(uart.push_rx(1));
    uart.write(0x02c, Width::Word, 0x74);
    assert_eq!(word(&mut uart, 0x018) & 0x10, 0, "another line setting keeps it");
    assert_eq!(word(&mut uart, 0x03c) & 0x50, 0x40);
    uart.write(0x02c, Width::Word, 0x60);
    assert_eq!(word(&mut uart, 0x018) & 0x10, 0x10);
    assert_eq!(word(&mut uart, 0x03c) & 0x50, 0);
}

#[test]
fn masked_interrupts_show_in_ris_only() {
    let mut uart = started();
    uart.write(0x038, Width::Word, 0);
    (0..16).for_each(|n| assert!(uart.push_rx(n)));
    // "The raw interrupt cannot be set unless the mask is set": the timeout (table 3-15, note a).
    assert_eq!((word(&mut uart, 0x03c), word(&mut uart, 0x040)), (0x10, 0));
    assert!(!uart.irq_line());
    uart.write(0x038, Width::Half, 0x40);
    assert_eq!((word(&mut uart, 0x03c), word(&mut uart, 0x040)), (0x50, 0x40));
    assert!(uart.irq_line());
}

/// 2.8.4: asserted when the FIFO is not empty and no more data is received; cleared when the FIFO becomes
/// empty by reading all of it, or when a 1 is written to ICR.
#[test]
fn the_receive_timeout_comes_again_while_data_waits() {
    for fifos in [0x70, 0x60] {
        let mut uart = started();
        uart.write(0x02c, Width::Word, fifos);
        uart.write(0x038, Width::Word, 0x40);
        uart.time_passes();
        assert!(!uart.is_overdue() && !uart.irq_line(), "nothing waits");
        assert!(uart.push_rx(b'x'));
        assert!(uart.irq_line() && !uart.is_overdue());
        for _ in 0..3 {
            uart.write(0x044, Width::Word, 0x7ff);
            assert!(!uart.irq_line(), "a guest that clears it gets on");
            assert!(uart.is_overdue());
            word(&mut uart, 0x018);
            assert!(!uart.irq_line(), "looking takes no time");
            uart.time_passes();
            assert!(uart.irq_line() && !uart.is_overdue());
        }
        uart.write(0x044, Width::Word, 0x40);
        assert_eq!(word(&mut uart, 0), u64::from(b'x'));
        assert!(!uart.is_overdue(), "read after all");
        uart.time_passes();
        assert!(!uart.irq_line());
    }
}

/// The timeout does not depend on the trigger level: who masks the receive interrupt, or takes one byte
/// for each interrupt and then clears it, gets everything.
#[test]
fn the_receive_timeout_tells_of_a_full_fifo_too() {
    let mut uart = started();
    uart.write(0x038, Width::Word, 0x40);
    (0..32).for_each(|n| assert!(uart.push_rx(n)));
    let mut seen = Vec::new();
    while uart.irq_line() {
        seen.push(word(&mut uart, 0));
        uart.write(0x044, Width::Word, 0x50);
        assert!(!uart.irq_line());
        uart.time_passes();
    }
    assert_eq!(seen, (0..32).collect::<Vec<u64>>());
}

/// Without the timeout, who clears the receive interrupt after its last look at the FIFO keeps the byte
/// that came in between: no further one has room, or none may come.
#[test]
fn the_receive_interrupt_comes_again_where_the_level_is_reached() {
    for (fifos, bytes) in [(0x60, 1), (0x70, 32)] {
        let mut uart = started();
        uart.write(0x02c, Width::Word, fifos);
        uart.write(0x038, Width::Word, 0x10);
        (0..bytes).for_each(|n| assert!(uart.push_rx(n)));
        uart.write(0x044, Width::Word, 0x10);
        assert!(!uart.irq_line() && uart.is_overdue());
        uart.time_passes();
        assert!(uart.irq_line());
    }
    let mut uart = started();
    uart.write(0x038, Width::Word, 0x10);
    (0..15).for_each(|n| assert!(uart.push_rx(n)));
    uart.time_passes();
    assert!(!uart.irq_line(), "below the level, who has masked the timeout hears nothing");
}

/// 2.8.3: by transition through the level, "rather than on the level itself".
#[test]
fn a_cleared_transmit_interrupt_stays_away_until_something_is_sent() {
    let mut uart = started();
    uart.write(0x038, Width::Word, 0x20);
    uart.time_passes();
    assert!(!uart.irq_line(), "nothing was ever written");
    uart.write(0, Width::Word, 0);
    assert!(uart.take_tx().is_some() && uart.irq_line());
    uart.write(0x044, Width::Word, 0x20);
    assert!(!uart.is_overdue());
    uart.time_passes();
    assert!(!uart.irq_line());
}

#[test]
fn input_waits_while_the_guest_has_the_receiver_off() {
    let mut uart = started();
    uart.write(0x030, Width::Word, 0x101);
    assert_eq!(uart.rx_room(), 0);
    assert!(!uart.push_rx(1));
    uart.write(0x030, Width::Word, 0x301);
    assert_eq!(uart.rx_room(), 32);
}

#[test]
fn loopback_returns_what_is_sent() {
    let mut uart = started();
    uart.write(0x030, Width::Word, 0x381);
    uart.write(0, Width::Word, 0x55);
    assert_eq!(uart.take_tx(), None);
    assert_eq!(word(&mut uart, 0), 0x55);
}

proptest! {
    /// Both directions keep every byte in order, and the flags tell the fill levels.
    #[test]
    fn bytes_keep_their_order(steps in prop::collection::vec((0u8..4, any::<u8>()), 0..300)) {
        let mut uart = started();
        let (mut out, mut inn) = (VecDeque::new(), VecDeque::new());
        for (kind, byte) in steps {
            match kind {
                0 => {
                    uart.write(0, Width::Word, u64::from(byte));
                    if out.len() < 32 {
                        out.push_back(byte);
                    }
                }
                1 => prop_assert_eq!(uart.take_tx(), out.pop_front()),
                2 => {
                    let fits = inn.len() < 32;
                    prop_assert_eq!(uart.push_rx(byte), fits);
                    if fits {
                        inn.push_back(byte);
                    }
                }
                _ => {
                    let expected = inn.pop_front().unwrap_or(0);
                    prop_assert_eq!(uart.read(0, Width::Byte), u64::from(expected));
                }
            }
            let fr = word(&mut uart, 0x018);
            prop_assert_eq!(fr & 0x80 != 0, out.is_empty());
            prop_assert_eq!(fr & 0x20 != 0, out.len() == 32);
            prop_assert_eq!(fr & 0x10 != 0, inn.is_empty());
            prop_assert_eq!(fr & 0x40 != 0, inn.len() == 32);
        }
    }

    /// No offset, width or value breaks it.
    #[test]
    fn any_access_is_safe(
        accesses in prop::collection::vec((0u64..0x1000, 0u64..4, any::<u64>(), any::<bool>()), 0..200)
    ) {
        let mut uart = Pl011::new();
        for (offset, width, value, is_write) in accesses {
            let width = Width::from_log2(width);
            if is_write {
                uart.write(offset, width, value);
            } else {
                prop_assert_eq!(uart.read(offset, width) & !width.mask(), 0);
            }
        }
    }
}
