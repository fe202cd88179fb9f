//! Finds what is `unsafe` in a source file, and what the source claims about it.

use anyhow::{Context, Result};
use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

use super::kind::Kind;

/// How many lines of code a claim may stand above the word, those of one statement.
const REACH: usize = 8;

/// One place where the compiler takes a person's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What has to be true.
    pub kind: Kind,
    /// The file, from the root of the checkout.
    pub file: String,
    /// The function, type or macro it is in.
    pub place: String,
    /// Line, for messages.
    pub line: usize,
    /// Why it is true; `None` if the source does not say.
    pub claim: Option<String>,
}

/// What is unsafe in `text`, the file at `path`.
///
/// # Errors
///
/// It is no Rust.
pub fn entries(path: &str, text: &str) -> Result<Vec<Entry>> {
    let file = syn::parse_file(text).with_context(|| format!("could not parse {path}"))?;
    let lines = text.lines().collect();
    let mut scan = Scan { path, lines, place: Vec::new(), of_trait: false, entries: Vec::new() };
    scan.visit_file(&file);
    let mut entries = scan.entries;
    entries.sort_by_key(|entry| entry.line);
    // "As above" is no claim without what is above.
    let mut above: Option<String> = None;
    for entry in &mut entries {
        match &mut entry.claim {
            Some(claim) if claim.to_lowercase().starts_with("as above") => {
                if let Some(above) = &above {
                    *claim = format!("{} ({above})", claim.trim_end_matches('.'));
                }
            }
            Some(claim) => above = Some(claim.clone()),
            None => {}
        }
    }
    Ok(entries)
}

struct Scan<'a> {
    path: &'a str,
    lines: Vec<&'a str>,
    place: Vec<String>,
    /// The functions implement a trait, which has their documentation.
    of_trait: bool,
    entries: Vec<Entry>,
}

impl Scan<'_> {
    fn within(&mut self, name: String, visit: impl FnOnce(&mut Self)) {
        self.place.push(name);
        visit(self);
        self.place.pop();
    }

    fn add(&mut self, kind: Kind, line: usize, claim: Option<String>) {
        let place = self.place.join("::");
        let file = self.path.to_owned();
        self.entries.push(Entry { kind, file, place, line, claim });
    }

    /// The lines `from` to `to`, counted from 1.
    fn text(&self, from: usize, to: usize) -> String {
        self.lines.get(from.saturating_sub(1)..to).unwrap_or(&[]).join("\n")
    }

    /// The comment with `SAFETY:` above the statement that `line`, counted from 1, belongs to.
    fn claim(&self, line: usize) -> Option<String> {
        let mut at = line.checked_sub(1)?;
        let lowest = at.saturating_sub(REACH);
        while at > lowest {
            at -= 1;
            let text = self.lines.get(at)?.trim();
            if text.starts_with("//") {
                return self.comment(at);
            }
            let is_statement_end = [";", "}", "{"].iter().any(|end| text.ends_with(end));
            if text.is_empty() || is_statement_end {
                return None;
            }
        }
        None
    }

    /// The claim in the comment whose last line is the one with index `last`.
    fn comment(&self, last: usize) -> Option<String> {
        let of = |at: usize| self.lines.get(at).map(|line| line.trim()).unwrap_or_default();
        let mut first = last;
        while first > 0 && of(first - 1).starts_with("//") {
            first -= 1;
        }
        let words: Vec<_> =
            (first..=last).map(|at| of(at).trim_start_matches('/').trim()).collect();
        let (_, claim) = words.join(" ").split_once("SAFETY:").map(own)?;
        Some(claim)
    }

    /// A declaration whose contract is in its documentation, under "Safety".
    fn contract(&mut self, attributes: &[syn::Attribute], line: usize) {
        let claim = documentation(attributes)
            .split_once("# Safety")
            .map(|(_, rest)| rest.split("\n #").next().unwrap_or(rest))
            .map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
            .filter(|text| !text.is_empty())
            .or_else(|| self.of_trait.then(|| "as the trait says".to_owned()));
        self.add(Kind::Contract, line, claim);
    }

    fn function(&mut self, attributes: &[syn::Attribute], signature: &syn::Signature) {
        if let syn::Safety::Unsafe(word) = &signature.safety {
            self.contract(attributes, word.span.start().line);
        }
    }

    /// What is unsafe in a macro's tokens, which are no syntax tree.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut tokens = tokens.into_iter().peekable();
        while let Some(token) = tokens.next() {
            match token {
                TokenTree::Ident(word) if word == "unsafe" => {
                    let line = word.span().start().line;
                    match tokens.peek() {
                        Some(TokenTree::Group(block)) => {
                            let kind = Kind::of_block(&block.stream().to_string());
                            self.add(kind, line, self.claim(line));
                        }
                        Some(TokenTree::Ident(next)) if next == "impl" => {
                            self.add(Kind::Promise, line, self.claim(line));
                        }
                        Some(TokenTree::Ident(next)) if next == "extern" => {
                            self.add(Kind::Name, line, self.claim(line));
                        }
                        _ => self.add(Kind::Contract, line, self.claim(line)),
                    }
                }
                TokenTree::Group(group) => self.tokens(group.stream()),
                _ => {}
            }
        }
    }
}

fn own((before, after): (&str, &str)) -> (String, String) {
    (before.to_owned(), after.trim().to_owned())
}

/// The lines of the documentation in `attributes`.
fn documentation(attributes: &[syn::Attribute]) -> String {
    let mut text = String::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("doc")) {
        if let syn::Meta::NameValue(syn::MetaNameValue {
            value: syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(line), .. }),
            ..
        }) = &attribute.meta
        {
            text.push_str(&line.value());
            text.push('\n');
        }
    }
    text
}

/// A type as the source has it.
fn shown(lines: &str) -> String {
    lines.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl<'ast> Visit<'ast> for Scan<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.within(item.ident.to_string(), |scan| visit::visit_item_mod(scan, item));
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let line = item.impl_token.span.start().line;
        let head = self.text(line, line);
        let head = head.trim().trim_end_matches('{').trim_end_matches("{}");
        let head = head.trim_start_matches("unsafe ").trim_start_matches("impl");
        self.within(shown(head), |scan| {
            if let Some(word) = &item.unsafety {
                let line = word.span.start().line;
                scan.add(Kind::Promise, line, scan.claim(line));
            }
            let outer = std::mem::replace(&mut scan.of_trait, item.trait_.is_some());
            visit::visit_item_impl(scan, item);
            scan.of_trait = outer;
        });
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.within(item.sig.ident.to_string(), |scan| {
            scan.function(&item.attrs, &item.sig);
            visit::visit_item_fn(scan, item);
        });
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.within(item.sig.ident.to_string(), |scan| {
            scan.function(&item.attrs, &item.sig);
            visit::visit_impl_item_fn(scan, item);
        });
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        self.within(item.sig.ident.to_string(), |scan| {
            scan.function(&item.attrs, &item.sig);
            visit::visit_trait_item_fn(scan, item);
        });
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.within(item.ident.to_string(), |scan| {
            if let Some(word) = &item.unsafety {
                scan.contract(&item.attrs, word.span.start().line);
            }
            visit::visit_item_trait(scan, item);
        });
    }

    fn visit_item_static(&mut self, item: &'ast syn::ItemStatic) {
        self.within(item.ident.to_string(), |scan| visit::visit_item_static(scan, item));
    }

    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        self.within(item.ident.to_string(), |scan| visit::visit_item_const(scan, item));
    }

    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        let name = item.ident.as_ref().map_or_else(
            || item.mac.path.segments.last().map(|last| last.ident.to_string()),
            |name| Some(name.to_string()),
        );
        self.within(format!("{}!", name.unwrap_or_default()), |scan| {
            visit::visit_item_macro(scan, item);
        });
    }

    fn visit_item_foreign_mod(&mut self, item: &'ast syn::ItemForeignMod) {
        if let Some(word) = &item.unsafety {
            let line = word.span.start().line;
            self.add(Kind::Name, line, self.claim(line));
        }
        visit::visit_item_foreign_mod(self, item);
    }

    fn visit_expr_unsafe(&mut self, block: &'ast syn::ExprUnsafe) {
        let line = block.unsafe_token.span.start().line;
        let braces = block.block.brace_token.span;
        let (open, close) = (braces.open().start().line, braces.close().end().line);
        let kind = Kind::of_block(&self.text(open, close));
        self.add(kind, line, self.claim(line));
        visit::visit_expr_unsafe(self, block);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.tokens(item.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if attribute.path().is_ident("unsafe") {
            let line = attribute.pound_token.span.start().line;
            self.add(Kind::Name, line, self.claim(line));
        }
    }
}
