//! Sharing: pages of its memory that a VM lets others use, and pages it gives back.
//!
//! The state lives in the owner's leaf. What the other side may do with a shared page is for
//! whoever maps it there to ask.

use thiserror::Error;

use crate::addr::{Ipa, PAGE_SIZE};
use crate::memory::{AddressSpace, MemoryError, Populated};
use crate::ports::Ports;
use crate::stage2::{EditError, Editor, Leaf, Mapping, PageState};

/// Why a call about a page of memory is refused.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum ShareError {
    /// The address is not a multiple of the granule.
    #[error("not a multiple of the granule")]
    Unaligned,
    /// The address is not the VM's memory: a hole, a guarded granule, above the address space.
    #[error("not memory")]
    NotMemory,
    /// The page is not in the state that the call is for.
    #[error("shared already, or not shared")]
    WrongState,
    /// Not refused: an interrupt waits, or another vCPU is bringing the memory into being. The
    /// guest must execute the call again.
    #[error("the memory is not there yet")]
    Again,
    /// The tables are damaged.
    #[error("{0}")]
    Tables(EditError),
}

impl ShareError {
    fn from_edit(error: EditError) -> Self {
        match error {
            EditError::WrongState => Self::WrongState,
            other => Self::Tables(other),
        }
    }
}

impl<P: Ports> AddressSpace<P> {
    /// Lets others use the page at `ipa`. Memory that nothing has touched yet is populated.
    ///
    /// `interrupted` says whether an interrupt waits, as for [`AddressSpace::populate`].
    ///
    /// # Errors
    ///
    /// Where `ipa` is not aligned, not memory, or shared already; and [`ShareError::Again`].
    pub fn share(&self, ipa: Ipa, interrupted: impl FnMut() -> bool) -> Result<(), ShareError> {
        self.check_page(ipa)?;
        match self.change(ipa, PageState::Owned, PageState::SharedOwned) {
            Err(ShareError::WrongState) if self.lookup(ipa) == Leaf::Empty => {}
            answer => return answer,
        }
        match self.populate(ipa, interrupted) {
            Ok(Populated::Mapped) => {}
            Ok(Populated::Busy | Populated::Interrupted) => return Err(ShareError::Again),
            Err(MemoryError::Edit(error)) => return Err(ShareError::Tables(error)),
            Err(MemoryError::NotMemory | MemoryError::NotPopulated) => {
                return Err(ShareError::NotMemory);
            }
        }
        match self.change(ipa, PageState::Owned, PageState::SharedOwned) {
            // Another vCPU has given it back at once.
            Err(ShareError::WrongState) if self.lookup(ipa) == Leaf::Empty => {
                Err(ShareError::Again)
            }
            answer => answer,
        }
    }

    /// Takes the page at `ipa` back for the VM alone. Its contents stay.
    ///
    /// # Errors
    ///
    /// Where `ipa` is not aligned, not memory, or not shared.
    pub fn unshare(&self, ipa: Ipa) -> Result<(), ShareError> {
        self.check_page(ipa)?;
        self.change(ipa, PageState::SharedOwned, PageState::Owned)
    }

    /// Gives back the page that contains `ipa`: it is unmapped and zeroed. Nothing happens where
    /// nothing is mapped. Touching it again brings a page of zeroes.
    ///
    /// # Errors
    ///
    /// Where `ipa` is above the address space, guarded, or the page is shared.
    pub fn relinquish(&self, ipa: Ipa) -> Result<(), ShareError> {
        let ipa = ipa.page();
        if !self.in_range(ipa) {
            return Err(ShareError::NotMemory);
        }
        let mut writer = self.write();
        match self.lookup(ipa) {
            Leaf::Empty => return Ok(()),
            Leaf::Valid(Mapping { state: PageState::Owned, .. }) => {}
            Leaf::Guarded => return Err(ShareError::NotMemory),
            Leaf::Valid(_) => return Err(ShareError::WrongState),
        }
        let mut editor = Editor::new(self.tables, &self.ports, &mut writer.pool);
        let pa = editor.take_page(ipa, PageState::Owned).map_err(ShareError::from_edit)?;
        // The page cannot be reached any more, so what is zeroed stays zero.
        self.ports.zero(pa, PAGE_SIZE);
        Ok(())
    }

    fn change(&self, ipa: Ipa, from: PageState, to: PageState) -> Result<(), ShareError> {
        let mut writer = self.write();
        let mut editor = Editor::new(self.tables, &self.ports, &mut writer.pool);
        editor.set_state(ipa, from, to).map_err(ShareError::from_edit)
    }

    #[inline]
    fn check_page(&self, ipa: Ipa) -> Result<(), ShareError> {
        if !ipa.is_aligned(PAGE_SIZE) {
            return Err(ShareError::Unaligned);
        }
        if !self.is_memory(ipa) {
            return Err(ShareError::NotMemory);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
