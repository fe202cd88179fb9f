mod delivery;
mod fake;
mod late;
mod machine;
mod oracle;
mod random;
mod registers;
mod threads;
