//! Lines of code of one source.

use std::collections::BTreeSet;
use std::iter::Peekable;

use anyhow::{Result, anyhow};
use proc_macro2::token_stream::IntoIter;
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// Cargo features of builds that only tests use.
const TEST_FEATURES: [&str; 3] = ["\"ghost\"", "\"inject\"", "\"testing\""];

/// Lines of Rust that hold code: no blank ones, no comments, nothing that is only compiled for tests.
///
/// # Errors
///
/// It is no Rust.
pub fn rust(text: &str) -> Result<usize> {
    let tokens: TokenStream = text.parse().map_err(|error| anyhow!("no Rust: {error}"))?;
    let mut lines = BTreeSet::new();
    collect(tokens, &text.lines().collect::<Vec<_>>(), &mut lines);
    Ok(lines.len())
}

/// Lines of assembly that hold an instruction, a label or a directive. Comments are `//` and, on lines of
/// their own, `/* */`.
pub fn assembly(text: &str) -> usize {
    let mut is_comment = false;
    let is_code = |line: &&str| {
        let line = line.trim();
        let begins = line.starts_with("/*");
        let is_inside = is_comment || begins;
        is_comment = is_inside && !line.ends_with("*/");
        !is_inside && !line.is_empty() && !line.starts_with("//")
    };
    text.lines().filter(is_code).count()
}

/// Adds the lines of `tokens`, which come from `text`, to `lines`.
fn collect(tokens: TokenStream, text: &[&str], lines: &mut BTreeSet<usize>) {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        // A comment that documents comes as the attribute that it stands for.
        let start = token.span().start();
        let is_comment = text
            .get(start.line.wrapping_sub(1))
            .and_then(|line| line.chars().nth(start.column).map(|first| (line, first)))
            .is_some_and(|(line, first)| {
                let at = line.char_indices().nth(start.column).map_or(0, |(at, _)| at);
                first == '/' && (line[at..].starts_with("//") || line[at..].starts_with("/*"))
            });
        if is_comment {
            continue;
        }
        if is_attribute_for_tests(&token, tokens.peek()) {
            skip_item(&mut tokens);
            continue;
        }
        match token {
            TokenTree::Group(group) => {
                if group.delimiter() != Delimiter::None {
                    lines.insert(group.span_open().start().line);
                    lines.insert(group.span_close().end().line);
                }
                collect(group.stream(), text, lines);
            }
            other => lines.extend(start.line..=other.span().end().line),
        }
    }
}

/// Whether `#` and what follows are a `cfg` that only tests fulfil.
fn is_attribute_for_tests(token: &TokenTree, next: Option<&TokenTree>) -> bool {
    let (TokenTree::Punct(mark), Some(TokenTree::Group(group))) = (token, next) else {
        return false;
    };
    let inside: Vec<_> = group.stream().into_iter().collect();
    match inside.as_slice() {
        [TokenTree::Ident(name), TokenTree::Group(condition)] => {
            mark.as_char() == '#' && name == "cfg" && needs_test(&terms(condition)[..])
        }
        _ => false,
    }
}

/// The parts of a condition between its commas.
fn terms(condition: &Group) -> Vec<Vec<TokenTree>> {
    let tokens: Vec<_> = condition.stream().into_iter().collect();
    let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(p) if p.as_char() == ',');
    tokens.split(is_comma).filter(|term| !term.is_empty()).map(<[_]>::to_vec).collect()
}

/// Whether all of `terms` can only hold together in a build for tests.
fn needs_test(terms: &[Vec<TokenTree>]) -> bool {
    terms.iter().any(|term| match term.as_slice() {
        [TokenTree::Ident(name)] => name == "test" || name == "interleave",
        [TokenTree::Ident(key), _, TokenTree::Literal(value)] => {
            key == "feature" && TEST_FEATURES.contains(&value.to_string().as_str())
        }
        [TokenTree::Ident(name), TokenTree::Group(inner)] => {
            let inner = self::terms(inner);
            match name.to_string().as_str() {
                "all" => needs_test(&inner),
                "any" => inner.iter().all(|term| needs_test(std::slice::from_ref(term))),
                _ => false,
            }
        }
        _ => false,
    })
}

/// Leaves out the item behind an attribute: up to its braces, or to what ends it.
fn skip_item(tokens: &mut Peekable<IntoIter>) {
    let is = |token: &TokenTree, mark| matches!(token, TokenTree::Punct(p) if p.as_char() == mark);
    while let Some(token) = tokens.next() {
        if is(&token, ';') {
            return;
        }
        if matches!(&token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace) {
            // `use a::{b, c};` and what else ends behind braces.
            tokens.next_if(|next| is(next, ';') || is(next, ','));
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_lines_and_comments_are_no_code() {
        let text = "\
//! Module.

/// Documented.
/* block
   comment */
fn f() { // 1
    /// Ä /* inner */
    let x = 1; /* 2 */ // behind

    /** more */ let y = \"//\"; // 3
} // 4
";
        assert_eq!(rust(text).unwrap(), 4);
        assert_eq!(rust("").unwrap(), 0);
        assert!(rust("fn f() {").is_err());
    }

    #[test]
    fn each_line_of_a_statement_and_of_a_string_counts() {
        assert_eq!(rust("#[inline]\nfn f(\n    a: u8,\n) -> u8 {\n    a\n}\n").unwrap(), 6);
        assert_eq!(rust("const A: &str = \"one\n// two\n\nfour\";\n").unwrap(), 4);
    }

    #[test]
    fn what_only_tests_compile_does_not_count() {
        for (text, lines) in [
            ("#[cfg(test)]\nmod tests;\nfn f() {}\n", 1),
            ("fn f() {}\n#[cfg(test)]\nmod tests {\n    use super::*;\n\n    fn g() {}\n}\n", 1),
            ("#[cfg(test)]\nuse a::{\n    b,\n};\nfn f() {}\n", 1),
            ("#[cfg(feature = \"ghost\")]\n#[inline]\nfn g() {\n}\nfn f() {}\n", 1),
            ("fn f() {\n    #[cfg(feature = \"inject\")]\n    g(1,\n      2);\n}\n", 2),
            ("#[cfg(any(test, feature = \"testing\"))]\nmod testing;\n", 0),
            ("#[cfg(all(test, feature = \"protected-vms\"))]\nmod m;\n", 0),
            ("impl T {\n    #[cfg(test)]\n    pub fn f(&self) {}\n    fn g() {}\n}\n", 3),
            // These are in the image.
            ("#[cfg(not(feature = \"ghost\"))]\nmod m;\n", 2),
            ("#[cfg(feature = \"protected-vms\")]\nmod m;\n", 2),
            ("#[cfg(any(test, feature = \"protected-vms\"))]\nmod m;\n", 2),
        ] {
            assert_eq!(rust(text).unwrap(), lines, "{text}");
        }
    }

    #[test]
    fn assembly_counts_instructions_labels_and_directives() {
        let text =
            "// head\n\n/* more\n   of it */\n.section .text\nf:  // label\n    ret\n/* x */\n";
        assert_eq!(assembly(text), 3);
    }
}
