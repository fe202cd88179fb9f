//! Where an instruction comes from: functions before inlining, files, lines.

use anyhow::Result;

/// A function in the source and a line of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The function's name as the compiler tells it.
    pub function: String,
    /// `file:line`, if that is known.
    pub line: Option<String>,
    /// It is the language's own library.
    pub is_library: bool,
}

/// Looks instructions up.
pub struct Places {
    loader: addr2line::Loader,
}

impl Places {
    /// For the program at `elf`.
    ///
    /// # Errors
    ///
    /// It has no debug information.
    pub fn open(elf: &std::path::Path) -> Result<Self> {
        let loader = addr2line::Loader::new(elf)
            .map_err(|error| anyhow::anyhow!("no symbols from {}: {error}", elf.display()))?;
        Ok(Self { loader })
    }

    /// The functions that the instruction at `address` belongs to, the innermost first.
    pub fn of(&self, address: u64) -> Vec<Place> {
        let mut places = Vec::new();
        let Ok(mut frames) = self.loader.find_frames(address) else { return places };
        while let Ok(Some(frame)) = frames.next() {
            let name = frame.function.as_ref().and_then(|name| name.demangle().ok());
            let Some(function) = name.map(std::borrow::Cow::into_owned) else { continue };
            let file = frame.location.as_ref().and_then(|place| place.file).unwrap_or("");
            let line = frame.location.as_ref().and_then(|place| place.line);
            places.push(Place {
                is_library: file.contains("/library/") || file.starts_with("library/"),
                line: line.map(|line| format!("{}:{line}", crate::symbolize::short_path(file))),
                function,
            });
        }
        places
    }

    /// Tells `hear` the file of each function that the instruction at `address` belongs to, from the root of
    /// the checkout if it is of this project.
    pub fn each_file(&self, address: u64, mut hear: impl FnMut(&str)) {
        let Ok(mut frames) = self.loader.find_frames(address) else { return };
        while let Ok(Some(frame)) = frames.next() {
            if let Some(file) = frame.location.and_then(|place| place.file) {
                hear(crate::symbolize::short_path(file));
            }
        }
    }

    /// The innermost function at `address` that is not the language's own; `fallback` if all are.
    pub fn function(&self, address: u64, fallback: &str) -> String {
        let places = self.of(address);
        let own = places.into_iter().find(|place| !place.is_library);
        own.map_or_else(|| fallback.to_owned(), |place| place.function)
    }

    /// `file:line` of the innermost function at `address` that is not the language's own.
    pub fn line(&self, address: u64) -> String {
        let places = self.of(address);
        let own = places.iter().find(|place| !place.is_library).or(places.last());
        own.and_then(|place| place.line.clone()).unwrap_or_else(|| format!("{address:#x}"))
    }
}
