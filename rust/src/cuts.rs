//! Where a file of CSV can be cut.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use pyo3::prelude::*;

use crate::columns::quotes::Quotes;
use crate::lines::{BOM, unclosed};

const BLOCK: usize = 1 << 20;

/// The start of the first row at or behind each of these positions, which are in order; where there
/// is none, the end of the file. The first row of a file is never cut off from blank lines before it.
#[pyfunction]
pub fn csv_cuts(
    py: Python<'_>,
    path: PathBuf,
    delimiter: char,
    wanted: Vec<u64>,
) -> PyResult<Vec<u64>> {
    let mut file = File::open(path)?;
    let mut block = vec![0; BLOCK];
    let mut cuts = Cuts {
        quotes: Quotes::new(delimiter as u8),
        wanted,
        found: Vec::new(),
        position: 0,
        leading: true,
    };
    while cuts.found.len() < cuts.wanted.len() {
        let read = py.detach(|| {
            let read = file.read(&mut block)?;
            cuts.scan(&block[..read])?;
            PyResult::Ok(read)
        })?;
        if read == 0 {
            let end = cuts.position;
            cuts.found.resize(cuts.wanted.len(), end);
        }
        py.check_signals()?;
    }
    Ok(cuts.found)
}

struct Cuts {
    quotes: Quotes,
    wanted: Vec<u64>,
    found: Vec<u64>,
    /// How far the file has been read.
    position: u64,
    /// Whether nothing but blank lines has been.
    leading: bool,
}

impl Cuts {
    /// Goes on over the next bytes of the file.
    fn scan(&mut self, block: &[u8]) -> PyResult<()> {
        let base = self.position;
        let mut done = 0;
        if base == 0 && block.starts_with(BOM) {
            done = BOM.len();
        }
        if self.leading {
            let text = block[done..].iter();
            let first = done + text.take_while(|byte| b"\r\n".contains(byte)).count();
            self.skip(block, done..first)?;
            self.leading = first == block.len();
            done = first;
        }
        while done < block.len() {
            let Some(&wanted) = self.wanted.get(self.found.len()) else {
                break;
            };
            if wanted == 0 {
                self.found.push(0);
                continue;
            }
            // A newline just before the wanted position will do.
            let near = (wanted - 1).saturating_sub(base).min(block.len() as u64) as usize;
            if near > done {
                self.skip(block, done..near)?;
                done = near;
                continue;
            }
            let end = self.quotes.first_row_end(block, done..block.len(), base);
            let Some(end) = end.map_err(unclosed)? else {
                break;
            };
            done = end as usize + 1;
            let cut = base + done as u64;
            let reached = self.wanted[self.found.len()..].iter();
            let reached = reached.take_while(|&&wanted| wanted <= cut).count();
            self.found.resize(self.found.len() + reached, cut);
        }
        self.position += block.len() as u64;
        Ok(())
    }

    fn skip(&mut self, block: &[u8], range: std::ops::Range<usize>) -> PyResult<()> {
        let skipped = self.quotes.skip(block, range, self.position);
        skipped.map_err(unclosed)
    }
}
