use super::Console;
use std::string::String;

type Small = Console<64, 64>;

fn console() -> Small {
    let mut console = Small::new();
    console.set_frequency(250_000);
    console
}

fn guest(console: &mut Small, text: &str) {
    for byte in text.bytes() {
        assert!(console.guest_byte(0, byte), "no room for {text:?}");
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
fn a_log_line_opens_its_own_line_when_patience_ends() {
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
        while c.guest_byte(0, b'y') {}
    }
    let (before, behind) = text.split_once("\r\n[postern] event\r\n").expect(&text);
    assert_eq!(before, "x".repeat(64));
    assert!(behind.starts_with('y'), "{behind:?}");
}

#[test]
fn a_full_ring_refuses_the_guest_and_loses_nothing() {
    let mut c = console();
    guest(&mut c, &"x".repeat(64));
    assert!(!c.guest_byte(0, b'y'));
    assert_eq!(c.pop(), Some(b'x'));
    assert!(c.guest_byte(0, b'y'));
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
        if fed < 20 && c.guest_byte(0, b'g') {
            fed += 1;
        }
    }
    text += &drain(&mut c);
    assert!(text.contains("[postern] longer than the room that is left\r\n"), "{text:?}");
}

fn two() -> Small {
    let mut console = console();
    console.set_names(&["web", "db"]);
    console
}

fn say(console: &mut Small, vm: u8, text: &str) {
    for byte in text.bytes() {
        assert!(console.guest_byte(vm, byte), "no room for {text:?}");
    }
}

#[test]
fn each_line_of_several_vms_begins_with_its_vms_name() {
    let mut c = two();
    say(&mut c, 0, "one\r\ntwo\r\n");
    say(&mut c, 1, "three\r\n");
    c.log_line("[postern] four", 0);
    assert_eq!(drain(&mut c), "web: one\r\nweb: two\r\ndb: three\r\n[postern] four\r\n");
}

#[test]
fn a_vm_waits_for_the_end_of_another_ones_line() {
    let mut c = two();
    say(&mut c, 0, "half");
    assert_eq!((c.room(1), c.guest_byte(1, b'x')), (0, false));
    c.await_line(1, 1000);
    assert_eq!(c.take_awaiting(), 0);
    say(&mut c, 0, " line\r\n");
    assert_eq!((c.take_awaiting(), c.take_awaiting()), (1 << 1, 0));
    say(&mut c, 1, "mine");
    assert_eq!(drain(&mut c), "web: half line\r\ndb: mine");
}

#[test]
fn when_patience_ends_a_vm_waits_no_longer() {
    let mut c = two();
    say(&mut c, 0, "~ # ");
    c.await_line(1, 1000);
    assert_eq!(c.deadline(), Some(51_000));
    c.tick(50_999);
    assert_eq!(c.take_awaiting(), 0);
    c.tick(51_000);
    assert_eq!(c.take_awaiting(), 1 << 1);
    say(&mut c, 1, "mine\r\n");
    say(&mut c, 0, "ls\r\n");
    assert_eq!(drain(&mut c), "web: ~ # \r\ndb: mine\r\nweb: ls\r\n");
}

#[test]
fn a_name_and_a_byte_fit_or_nothing_is_taken() {
    let mut c = two();
    let line = "x".repeat(64 - 5 - 2) + "\n";
    say(&mut c, 0, &line);
    // One byte is free, and "db: " needs four.
    assert_eq!((c.free(), c.room(1)), (1, 0));
    assert!(!c.guest_byte(1, b'y'));
    for _ in 0..4 {
        c.pop();
    }
    assert_eq!(c.room(1), 1);
    assert!(c.guest_byte(1, b'y'));
    assert!(drain(&mut c).ends_with("x\ndb: y"));
}

/// What counts is how long nothing has come, not how long a line takes.
#[test]
fn a_line_that_goes_on_is_not_cut() {
    let mut c = two();
    say(&mut c, 0, "slow");
    assert_eq!(c.spoke(0), None);
    c.await_line(1, 1000);
    say(&mut c, 0, " but");
    assert_eq!(c.spoke(50_000), Some(100_000));
    c.tick(99_999);
    assert_eq!(c.take_awaiting(), 0);
    c.tick(100_000);
    assert_eq!(c.take_awaiting(), 1 << 1);
    say(&mut c, 1, "mine\r\n");
    // A log line waits no longer for that.
    say(&mut c, 0, "more");
    c.await_line(1, 200_000);
    c.log_line("[postern] log", 200_000);
    assert_eq!(c.spoke(240_000), Some(250_000));
}

/// However busily its speaker goes on.
#[test]
fn a_line_without_end_is_cut() {
    let mut c = two();
    say(&mut c, 0, "x");
    c.await_line(1, 1000);
    for now in (1000..251_000).step_by(40_000) {
        c.tick(now);
        say(&mut c, 0, "x");
        let due = c.spoke(now);
        assert_eq!(due, Some((now + 50_000).min(251_000)));
        drain(&mut c);
    }
    c.tick(251_000);
    assert_eq!((c.take_awaiting(), c.room(0)), (1 << 1, 0));
}

/// Two that never stop talking have a line in turn, and the third one that comes, too.
#[test]
fn a_vm_that_waits_has_the_next_line() {
    let mut c = console();
    c.set_names(&["web", "db", "log"]);
    say(&mut c, 0, "1");
    let mut text = String::new();
    for line in 0..3 {
        c.await_line(1, line);
        say(&mut c, 0, "\r\n");
        assert_eq!((c.room(0), c.guest_byte(0, b'x')), (0, false));
        c.await_line(0, line);
        say(&mut c, 1, "2");
        assert!(!c.guest_byte(0, b'x'));
        c.await_line(2, line);
        say(&mut c, 1, "\r\n");
        assert_eq!(c.take_awaiting(), 1 << 0 | 1 << 2);
        assert_eq!((c.room(1), c.guest_byte(1, b'x')), (0, false));
        say(&mut c, 2, "3\r\n");
        assert!(!c.guest_byte(2, b'x') && !c.guest_byte(1, b'x'));
        say(&mut c, 0, "1");
        text += &drain(&mut c);
    }
    say(&mut c, 0, "\r\n");
    text += &drain(&mut c);
    assert_eq!(text, "web: 1\r\ndb: 2\r\nlog: 3\r\n".repeat(3) + "web: 1\r\n");
}

/// What it had to say is gone, by a reset.
#[test]
fn a_turn_that_is_not_taken_passes() {
    let mut c = two();
    say(&mut c, 0, "one");
    c.await_line(1, 0);
    say(&mut c, 0, "\r\n");
    // Asked and refused, for a full ring: it is to come again.
    assert_eq!(c.take_awaiting(), 1 << 1);
    c.asked(1 << 1);
    assert!(c.is_of_another(0) && !c.is_of_another(1));
    // Asked, and silent.
    c.asked(0);
    assert!(!c.is_of_another(0));
    say(&mut c, 0, "two\r\n");
    assert_eq!(drain(&mut c), "web: one\r\nweb: two\r\n");
}
