//! A file of records in parts: equal keys are in one part. No Python here.

use std::fs::{File, remove_file};
use std::io::{self, Error, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::Path;

use triomphe::Arc;

use crate::columns::column::{Batch, Column};
use crate::groups::hash::{of_bytes, of_int};
use crate::groups::keys::{Same, encode};
use crate::spill::rows;

const LOG2_PARTS: u32 = 6;
const PARTS: usize = 1 << LOG2_PARTS;
/// Larger blocks are no faster.
const LARGEST: usize = 256 << 10;

/// Parts on their way to disk. The file has no name, so that it ends with its last reader, whatever
/// happens to the process.
pub struct Spill {
    file: File,
    like: Arc<Vec<Column>>,
    same: Vec<Same>,
    depth: u32,
    parts: Vec<Filling>,
    /// A part's rows go to disk when they take so many bytes.
    block: usize,
    written: u64,
    key: Vec<u8>,
}

#[derive(Default)]
struct Filling {
    rows: usize,
    buffer: Vec<u8>,
    blocks: Vec<Block>,
}

/// Where rows stand in the file.
#[derive(Clone, Copy)]
pub struct Block {
    pub rows: usize,
    pub bytes: usize,
    offset: u64,
}

/// The records of one part, in the order in which they came.
pub struct Part {
    file: Arc<File>,
    like: Arc<Vec<Column>>,
    blocks: Vec<Block>,
    next: usize,
    /// How often they have been parted.
    pub depth: u32,
}

impl Spill {
    /// For records with columns like these; those of a single int are left out. `same` says how the
    /// key columns are compared. At every depth, keys are parted by something else of them. Buffers
    /// take so many bytes.
    pub fn new(
        path: &Path,
        like: &[Column],
        same: &[Same],
        depth: u32,
        buffers: usize,
    ) -> io::Result<Self> {
        let mut options = File::options();
        let file = options.read(true).write(true).create_new(true).open(path)?;
        remove_file(path)?;
        Ok(Self {
            file,
            like: Arc::new(like.to_vec()),
            same: same.to_vec(),
            depth,
            parts: (0..PARTS).map(|_| Filling::default()).collect(),
            block: (buffers / PARTS).min(LARGEST),
            written: 0,
            key: Vec::new(),
        })
    }

    /// Writes some rows of a batch with these key columns.
    pub fn push(
        &mut self,
        batch: &Batch,
        keys: &[usize],
        rows: impl IntoIterator<Item = u32>,
    ) -> io::Result<()> {
        for row in rows {
            let row = row as usize;
            self.key.clear();
            for (&column, &same) in keys.iter().zip(&self.same) {
                encode(&batch.columns[column], same, row, &mut self.key);
            }
            let hash = of_int(of_bytes(&self.key).wrapping_add(u64::from(self.depth)));
            let at = (hash >> (64 - LOG2_PARTS)) as usize;
            let part = &mut self.parts[at];
            rows::write(&batch.columns, &self.like, row, &mut part.buffer);
            part.rows += 1;
            if part.buffer.len() >= self.block {
                self.flush(at)?;
            }
        }
        Ok(())
    }

    fn flush(&mut self, at: usize) -> io::Result<()> {
        let part = &mut self.parts[at];
        if part.rows == 0 {
            return Ok(());
        }
        let bytes = part.buffer.len();
        if u32::try_from(bytes).is_err() {
            return Err(ErrorKind::FileTooLarge.into());
        }
        self.file.write_all_at(&part.buffer, self.written)?;
        part.blocks.push(Block {
            rows: part.rows,
            bytes,
            offset: self.written,
        });
        self.written += bytes as u64;
        part.rows = 0;
        part.buffer.clear();
        part.buffer.shrink_to(2 * self.block);
        Ok(())
    }

    /// All parts, and how many bytes they take on disk.
    pub fn finish(mut self) -> io::Result<(Vec<Part>, u64)> {
        for at in 0..PARTS {
            self.flush(at)?;
        }
        let file = Arc::new(self.file);
        let parts = self.parts.into_iter().map(|part| Part {
            file: Arc::clone(&file),
            like: Arc::clone(&self.like),
            blocks: part.blocks,
            next: 0,
            depth: self.depth + 1,
        });
        Ok((parts.collect(), self.written))
    }
}

impl Part {
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// The block that comes next.
    pub fn next(&self) -> Option<Block> {
        self.blocks.get(self.next).copied()
    }

    /// Reads the next block.
    pub fn read(&mut self) -> io::Result<Option<Batch>> {
        let Some(block) = self.next() else {
            return Ok(None);
        };
        self.next += 1;
        let mut bytes = vec![0; block.bytes];
        self.file.read_exact_at(&mut bytes, block.offset)?;
        let batch = rows::read(bytes, block.rows, &self.like);
        batch
            .map(Some)
            .ok_or_else(|| Error::from(ErrorKind::InvalidData))
    }

    /// Begins once more.
    pub fn rewind(&mut self) {
        self.next = 0;
    }
}
