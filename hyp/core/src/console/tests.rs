use super::Console;
use std::string::String;

type Small = Console<64, 64>;

fn console() -> Small {
    let mut console = Small::new();
    console.set_frequency(1_000_000);
    console
}

fn guest(console: &mut Small, text: &str) {
    for byte in text.bytes() {
        assert!(console.guest_byte(byte), "no room for {text:?}");
    }
}

fn drain(console: &mut Small) -> String {
    let mut text = String::new();
    while let Some(byte) = console.pop() {
        text.push(char::from(byte));
    }
    text
}

#[test]
fn a_log_line_waits_for_the_end_of_the_guest_line() {
    let mut c = console();
    guest(&mut c, "half");
    c.log_line("[postern] hello", 0);
    guest(&mut c, " line\r\nnext");
    assert_eq!(drain(&mut c), "half line\r\n[postern] hello\r\nnext");
}

#[test]
fn a_log_line_opens_its_own_line_after_fifty_milliseconds() {
    let mut c = console();
    guest(&mut c, "~ # ");
    c.log_line("[postern] event", 1000);
    assert_eq!(c.deadline(), Some(51_000));
    c.tick(50_999);
    assert_eq!(drain(&mut c), "~ # ");
    c.tick(51_000);
    assert_eq!(drain(&mut c), "\r\n[postern] event\r\n");
    assert_eq!(c.deadline(), None);
}

/// A guest that never ends its line and keeps the ring full.
#[test]
fn a_flood_does_not_keep_a_log_line_waiting_for_ever() {
    let mut c = console();
    guest(&mut c, &"x".repeat(64));
    c.log_line("[postern] event", 0);
    c.tick(50_000);
    assert!(c.deadline().is_none_or(|at| at > 50_000), "the timer would fire again at once");
    let mut text = String::new();
    for _ in 0..100 {
        text.extend(c.pop().map(char::from));
        while c.guest_byte(b'y') {}
    }
    let (before, behind) = text.split_once("\r\n[postern] event\r\n").expect(&text);
    assert_eq!(before, "x".repeat(64));
    assert!(behind.starts_with('y'), "{behind:?}");
}

#[test]
fn a_full_ring_refuses_the_guest_and_loses_nothing() {
    let mut c = console();
    guest(&mut c, &"x".repeat(64));
    assert!(!c.guest_byte(b'y'));
    assert_eq!(c.pop(), Some(b'x'));
    assert!(c.guest_byte(b'y'));
    assert_eq!(drain(&mut c).len(), 64);
}

#[test]
fn a_line_that_found_the_ring_full_follows_as_it_drains() {
    let mut c = console();
    guest(&mut c, &"x".repeat(60));
    guest(&mut c, "\r\n");
    c.log_line("[postern] late", 0);
    let text = drain(&mut c);
    assert!(text.ends_with("x\r\n[postern] late\r\n"), "{text:?}");
}

/// Whatever is sent next begins a line of its own.
#[test]
fn the_end_comes_on_a_line_of_its_own() {
    for (before, log, after) in [
        ("half", None, "half\r\n"),
        ("half", Some("log"), "half\r\nlog\r\n"),
        ("whole\r\n", None, "whole\r\n"),
        ("", None, ""),
    ] {
        let mut c = console();
        guest(&mut c, before);
        log.iter().for_each(|line| c.log_line(line, 0));
        c.flush();
        assert_eq!(drain(&mut c), after);
    }
    for log in ["", "log"] {
        let mut c = console();
        guest(&mut c, &"x".repeat(64));
        c.log_line(log, 0);
        c.flush();
        assert!(drain(&mut c).ends_with(&std::format!("xx\r\n{log}\r\n")));
    }
}

#[test]
fn lost_lines_are_counted_and_confessed() {
    let mut c = console();
    guest(&mut c, &"u".repeat(63));
    c.log_line(&"a".repeat(60), 0);
    c.log_line("does not fit", 0);
    c.log_line("nor does this", 0);
    let mut text = drain(&mut c);
    c.flush();
    text += &drain(&mut c);
    assert!(text.contains(&"a".repeat(60)), "{text:?}");
    assert!(text.contains("2 log line(s) lost"), "{text:?}");
}

#[test]
fn a_line_is_never_cut_by_guest_output() {
    let mut c = console();
    guest(&mut c, &"x".repeat(50));
    guest(&mut c, "\n");
    c.log_line("[postern] longer than the room that is left", 0);
    let mut text = String::new();
    let mut fed = 0;
    // The guest pushes as hard as it can while the ring drains.
    for _ in 0..200 {
        if let Some(byte) = c.pop() {
            text.push(char::from(byte));
        }
        if fed < 20 && c.guest_byte(b'g') {
            fed += 1;
        }
    }
    text += &drain(&mut c);
    assert!(text.contains("[postern] longer than the room that is left\r\n"), "{text:?}");
}
