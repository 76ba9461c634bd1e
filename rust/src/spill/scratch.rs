//! How much a joiner may hold, and where the rest goes. No Python here.

use std::io;
use std::path::PathBuf;

use crate::columns::column::Column;
use crate::groups::keys::Same;
use crate::spill::parts::{Part, Spill};

pub struct Scratch {
    /// In bytes.
    pub limit: usize,
    path: PathBuf,
    /// How many files were written, and how many bytes.
    pub spills: u64,
    pub bytes: u64,
    /// The system's code for the first failure of the disk.
    pub broken: Option<i32>,
}

impl Scratch {
    pub fn new(limit: usize, path: PathBuf) -> Self {
        Self {
            limit,
            path,
            spills: 0,
            bytes: 0,
            broken: None,
        }
    }

    /// So many rows are taken at a time, so that the limit is not passed by far.
    pub fn rows_at_once(&self) -> usize {
        (self.limit / 256).max(1)
    }

    /// A file for records with columns like these; see `Spill::new`.
    pub fn open(&mut self, like: &[Column], same: &[Same], depth: u32) -> io::Result<Spill> {
        let block = self.limit / 8;
        let spill = Spill::new(&self.path, like, same, depth, block);
        self.spills += 1;
        self.noted(spill)
    }

    /// All parts of a file, to be read.
    pub fn close(&mut self, spill: Spill) -> io::Result<Vec<Part>> {
        let parts = spill.finish();
        let (parts, bytes) = self.noted(parts)?;
        self.bytes += bytes;
        Ok(parts)
    }

    /// Notes a failure of the disk.
    pub fn noted<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result {
            self.broken
                .get_or_insert(error.raw_os_error().unwrap_or(libc::EIO));
        }
        result
    }
}
