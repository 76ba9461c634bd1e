//! The buffers of a body, each compressed by itself. No Python here.

use std::io::{self, Read, Write};

use arrow_buffer::Buffer;
use arrow_ipc::CompressionType;
use lz4_flex::frame::{FrameDecoder, FrameEncoder};
use zstd::bulk::{Compressor, Decompressor};

/// Before a compressed buffer stands its length; this says that it is not compressed.
const AS_IT_IS: i64 = -1;

pub enum Packing {
    Plain,
    Zstd(Box<Compressor<'static>>),
    Lz4,
}

impl Packing {
    /// `codec` is `none`, `zstd` or `lz4`; None for any other.
    pub fn new(codec: &str, level: i32) -> io::Result<Option<Self>> {
        Ok(Some(match codec {
            "none" => Packing::Plain,
            "zstd" => Packing::Zstd(Box::new(Compressor::new(level)?)),
            "lz4" => Packing::Lz4,
            _ => return Ok(None),
        }))
    }

    /// The codec as a header tells it.
    pub fn codec(&self) -> Option<CompressionType> {
        match self {
            Packing::Plain => None,
            Packing::Zstd(_) => Some(CompressionType::ZSTD),
            Packing::Lz4 => Some(CompressionType::LZ4_FRAME),
        }
    }

    /// Appends a buffer. One that would not become smaller stays as it is.
    pub fn append(&mut self, raw: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        if raw.is_empty() || matches!(self, Packing::Plain) {
            out.extend_from_slice(raw);
            return Ok(());
        }
        let start = out.len();
        out.extend_from_slice(&(raw.len() as i64).to_le_bytes());
        let packed = out.len();
        match self {
            Packing::Plain => {}
            Packing::Zstd(compressor) => {
                out.resize(packed + zstd::zstd_safe::compress_bound(raw.len()), 0);
                let size = compressor.compress_to_buffer(raw, &mut out[packed..])?;
                out.truncate(packed + size);
            }
            Packing::Lz4 => {
                let mut encoder = FrameEncoder::new(&mut *out);
                encoder.write_all(raw)?;
                encoder.finish()?;
            }
        }
        if out.len() - packed >= raw.len() {
            out.truncate(start);
            out.extend_from_slice(&AS_IT_IS.to_le_bytes());
            out.extend_from_slice(raw);
        }
        Ok(())
    }
}

/// A buffer as it was before it was compressed; what was, of at most so many bytes.
pub fn unpack(codec: CompressionType, packed: &Buffer, most: usize) -> Result<Buffer, String> {
    let Some((length, data)) = packed.split_first_chunk() else {
        return match packed.len() {
            0 => Ok(packed.clone()),
            length => Err(format!("a compressed buffer of {length} bytes")),
        };
    };
    let length = i64::from_le_bytes(*length);
    if length == AS_IT_IS {
        return Ok(packed.slice(size_of::<i64>()));
    }
    let mut raw = Vec::new();
    let size = usize::try_from(length)
        .ok()
        .filter(|&size| size <= most && raw.try_reserve_exact(size).is_ok())
        .ok_or_else(|| format!("a compressed buffer of {length} bytes when it is decompressed"))?;
    let done = match codec {
        CompressionType::ZSTD => Decompressor::new()
            .and_then(|mut decompressor| decompressor.decompress_to_buffer(data, &mut raw)),
        CompressionType::LZ4_FRAME => {
            // One byte more than expected is enough to tell that there are too many.
            FrameDecoder::new(data)
                .take(size as u64 + 1)
                .read_to_end(&mut raw)
        }
        CompressionType(other) => return Err(format!("compression of unknown kind {other}")),
    };
    match done {
        Ok(_) if raw.len() == size => Ok(Buffer::from_vec(raw)),
        Ok(_) => Err(format!(
            "a buffer of {} bytes where {size} were expected",
            raw.len()
        )),
        Err(error) => Err(format!("a buffer that cannot be decompressed: {error}")),
    }
}
