//! Whether the calls that led to a crash can be found: call frame information (`xtask::symbolize`) must
//! say of each function what its instructions do to the stack pointer.

use super::graph::Graph;
use super::program::Program;
use crate::symbolize::unwind::{Extent, Unwinder};

/// How many functions are described, and those that are not or wrongly.
pub fn check(program: &Program, graph: &Graph, unwinder: &Unwinder) -> (usize, Vec<String>) {
    let functions = program.pieces().iter().filter(|piece| !piece.is_assembly);
    let mut breaches = Vec::new();
    let mut right = 0;
    for piece in functions {
        let Some(node) = graph.node(piece.start) else { continue };
        match complaint(node.frame, unwinder.frame(piece.start)) {
            None => right += 1,
            Some(complaint) => breaches.push(format!("{}: {complaint}", piece.name())),
        }
    }
    (right, breaches)
}

/// What is wrong where a function's instructions take `bytes` of stack and `said` is said of it.
fn complaint(bytes: u64, said: Option<Extent>) -> Option<String> {
    match said {
        None => Some("has no call frame information: no crash in it can be followed".to_owned()),
        Some(Extent { is_by_x29: true, .. }) => None,
        Some(said) => (said.bytes != bytes).then(|| {
            format!(
                "takes {bytes} bytes of stack, and its call frame information says {}",
                said.bytes
            )
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_must_be_what_is_done() {
        let said = |bytes, is_by_x29| Some(Extent { bytes, is_by_x29 });
        assert_eq!(complaint(48, said(48, false)), None);
        assert_eq!(complaint(0, said(0, false)), None, "no frame");
        assert_eq!(
            complaint(64, said(16, true)),
            None,
            "x29 says it, wherever the stack pointer is"
        );
        assert!(complaint(64, said(48, false)).unwrap().contains("says 48"));
        assert!(complaint(0, None).unwrap().contains("no call frame information"));
    }
}
