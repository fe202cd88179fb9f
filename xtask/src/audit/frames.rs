//! How much stack each function takes.

use anyhow::Result;

use super::graph::Graph;
use super::program::Program;

/// One function's frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Bytes.
    pub bytes: u64,
    /// The function.
    pub function: String,
}

/// The frames of the functions in `elf_file`, the largest first.
///
/// # Errors
///
/// As [`Program::read`] and [`Graph::read`].
pub fn of(elf_file: &[u8]) -> Result<Vec<Frame>> {
    Ok(sorted(&Graph::read(&Program::read(elf_file)?, &[])?))
}

/// Those of `graph`.
pub fn sorted(graph: &Graph) -> Vec<Frame> {
    let frame = |bytes, name: &String| Frame { bytes, function: name.clone() };
    let mut frames: Vec<_> = graph.nodes().map(|(_, node)| frame(node.frame, &node.name)).collect();
    frames.sort_by(|a, b| (b.bytes, &a.function).cmp(&(a.bytes, &b.function)));
    frames
}
