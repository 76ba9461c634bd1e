//! Where the frames of a compressed file begin, told by their headers alone.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use pyo3::prelude::*;

const ZSTD: u32 = 0xFD2F_B528;
const SKIPPABLE: u32 = 0x184D_2A50;

/// Positions in a file and in its content: the start of a frame, or the end of the last.
type Positions = Vec<(u64, u64)>;

/// Where the frames of a local zstd file (`zstd`) or the blocks of a bgzip file (`gzip`) begin, about
/// `every` bytes of content apart: pairs of the position in the file and in the content, the first
/// `(0, 0)`, the last the ends. None where the headers do not tell: a frame without the size of its
/// content, other members than bgzip's, damage.
#[pyfunction]
pub fn frame_starts(
    py: Python<'_>,
    path: PathBuf,
    compression: &str,
    every: u64,
) -> PyResult<Option<Positions>> {
    Ok(py.detach(|| {
        let file = File::open(&path)?;
        let size = file.metadata()?.len();
        match compression {
            "zstd" => walk(&file, size, every, zstd_frame),
            "gzip" => walk(&file, size, every, bgzip_block),
            _ => Ok(None),
        }
    })?)
}

/// Reads the header of the frame at a position; gives the sizes of the frame and of its content.
type Measure = fn(&File, u64) -> io::Result<Option<(u64, u64)>>;

fn walk(file: &File, size: u64, every: u64, measure: Measure) -> io::Result<Option<Positions>> {
    let mut found = vec![(0, 0)];
    let (mut at, mut raw) = (0u64, 0u64);
    while at < size {
        let measured = match measure(file, at) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            measured => measured?,
        };
        let next = measured.and_then(|(stored, content)| {
            Some((at.checked_add(stored)?, raw.checked_add(content)?))
        });
        let Some(next) = next else {
            return Ok(None);
        };
        (at, raw) = next;
        if at >= size || found.last().is_some_and(|last| raw - last.1 >= every) {
            found.push((at, raw));
        }
    }
    Ok((at == size).then_some(found))
}

fn bytes<const N: usize>(file: &File, at: u64) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact_at(&mut bytes, at)?;
    Ok(bytes)
}

/// RFC 8878, 3.1.1.
fn zstd_frame(file: &File, start: u64) -> io::Result<Option<(u64, u64)>> {
    let magic = u32::from_le_bytes(bytes(file, start)?);
    if magic & !0xF == SKIPPABLE {
        let size = u32::from_le_bytes(bytes(file, start + 4)?);
        return Ok(Some((8 + u64::from(size), 0)));
    }
    if magic != ZSTD {
        return Ok(None);
    }
    let [descriptor] = bytes(file, start + 4)?;
    let single = descriptor & 0x20 != 0;
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let at = start + 5 + u64::from(!single) + dictionary;
    let (content, width) = match descriptor >> 6 {
        0 if single => (u64::from(bytes::<1>(file, at)?[0]), 1),
        0 => return Ok(None),
        1 => (u64::from(u16::from_le_bytes(bytes(file, at)?)) + 256, 2),
        2 => (u64::from(u32::from_le_bytes(bytes(file, at)?)), 4),
        _ => (u64::from_le_bytes(bytes(file, at)?), 8),
    };
    let mut at = at + width;
    loop {
        let [a, b, c] = bytes(file, at)?;
        let header = u32::from_le_bytes([a, b, c, 0]);
        let (last, kind, size) = (header & 1 == 1, header >> 1 & 3, u64::from(header >> 3));
        at += match kind {
            0 | 2 => 3 + size,
            1 => 4, // One byte, repeated.
            _ => return Ok(None),
        };
        if last {
            break;
        }
    }
    let checksum = if descriptor & 4 != 0 { 4 } else { 0 };
    Ok(Some((at + checksum - start, content)))
}

/// A gzip member whose extra field tells its size: section 4.1 of the SAM specification.
fn bgzip_block(file: &File, start: u64) -> io::Result<Option<(u64, u64)>> {
    let head: [u8; 18] = bytes(file, start)?;
    // Gzip with an extra field of 6 bytes, which is `BC` of 2 bytes.
    if head[..4] != [0x1f, 0x8b, 8, 4] || head[10..16] != [6, 0, b'B', b'C', 2, 0] {
        return Ok(None);
    }
    let size = u64::from(u16::from_le_bytes([head[16], head[17]])) + 1;
    if size < 26 {
        return Ok(None);
    }
    let content = u32::from_le_bytes(bytes(file, start + size - 4)?);
    Ok(Some((size, u64::from(content))))
}
