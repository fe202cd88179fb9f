//! Rust text without its comments and literals, for rules about code.

/// `text` with the contents of comments, strings and character literals replaced by blanks; lines
/// and columns stay where they are.
pub fn code_only(text: &str) -> String {
    let mut scan = Scan { rest: text, code: String::with_capacity(text.len()) };
    while let Some(first) = scan.rest.chars().next() {
        if scan.rest.starts_with("//") {
            scan.blank(scan.rest.find('\n').unwrap_or(scan.rest.len()));
        } else if scan.rest.starts_with("/*") {
            scan.blank(block_comment(scan.rest));
        } else if let Some(length) = raw_string(scan.rest) {
            scan.blank(length);
        } else if first == '"' {
            scan.blank(quoted(scan.rest, '"'));
        } else if first == '\'' {
            match char_literal(scan.rest) {
                Some(length) => scan.blank(length),
                None => scan.keep(1),
            }
        } else if first.is_alphanumeric() || first == '_' {
            let end = scan.rest.find(|c: char| !c.is_alphanumeric() && c != '_');
            scan.keep(end.unwrap_or(scan.rest.len()));
        } else {
            scan.keep(first.len_utf8());
        }
    }
    scan.code
}

struct Scan<'a> {
    rest: &'a str,
    code: String,
}

impl Scan<'_> {
    fn keep(&mut self, length: usize) {
        let (kept, rest) = self.rest.split_at(length);
        self.code.push_str(kept);
        self.rest = rest;
    }

    fn blank(&mut self, length: usize) {
        let (gone, rest) = self.rest.split_at(length);
        self.code.extend(gone.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        self.rest = rest;
    }
}

/// Length of the block comment at the start of `text`; they nest.
fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(rest) = text.get(at..) {
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            match rest.chars().next() {
                Some(c) => at += c.len_utf8(),
                None => break,
            }
        }
    }
    text.len()
}

/// Length of the raw string (`r"…"`, `br#"…"#`, `cr"…"`) at the start of `text`.
fn raw_string(text: &str) -> Option<usize> {
    let after = ["br", "cr", "r"].iter().find_map(|prefix| text.strip_prefix(prefix))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let body = after[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let opened = text.len() - body.len();
    Some(body.find(&close).map_or(text.len(), |at| opened + at + close.len()))
}

/// Length of the literal in `quote`s at the start of `text`, escapes considered.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// Length of the character literal at the start of `text`; nothing if it is a lifetime.
fn char_literal(text: &str) -> Option<usize> {
    let mut chars = text.chars().skip(1);
    match (chars.next()?, chars.next()) {
        ('\\', _) | (_, Some('\'')) => Some(quoted(text, '\'')),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_vanish_and_code_stays() {
        for (text, word_is_code) in [
            ("unsafe { x() }", true),
            ("// unsafe", false),
            ("/* a /* unsafe */ unsafe */", false),
            ("/* a */ unsafe", true),
            (r#""unsafe""#, false),
            (r#""\" unsafe""#, false),
            (r#""\\" unsafe"#, true),
            (r##"r#"a " unsafe"# "##, false),
            (r##"r#"a"# unsafe"##, true),
            ("br\"unsafe\"", false),
            ("'\"' unsafe '\"'", true),
            (r"'\'' unsafe", true),
            ("fn f<'a>(x: &'a str, g: unsafe fn()) {}", true),
            ("for\" unsafe\"", false),
        ] {
            assert_eq!(code_only(text).contains("unsafe"), word_is_code, "{text}");
        }
    }

    #[test]
    fn lines_and_columns_stay() {
        let text = "a /* x\n y */ b // c\n\"d\ne\" f";
        let code = code_only(text);
        assert_eq!(code.chars().count(), text.chars().count());
        assert_eq!(code.lines().nth(1), Some("      b     "));
        assert_eq!(code.lines().nth(3), Some("   f"));
    }
}
