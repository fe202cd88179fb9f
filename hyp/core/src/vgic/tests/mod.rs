mod delivery;
mod fake;
mod machine;
mod oracle;
mod random;
mod registers;
