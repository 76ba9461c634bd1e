//! Messages of buffers, which are compressed on the way. No Python here.

use std::io;

use arrow_ipc::{Buffer, FieldNode};

use crate::ipc::buffers::Packing;
use crate::ipc::message::{self, ALIGNMENT};

/// Makes messages of buffers.
pub struct Packer {
    packing: Packing,
    pub nodes: Vec<FieldNode>,
    buffers: Vec<Buffer>,
    body: Vec<u8>,
    /// How long the body would be without compression.
    raw: usize,
    spare: Vec<u8>,
}

impl Packer {
    pub fn new(packing: Packing) -> Self {
        Self {
            packing,
            nodes: Vec::new(),
            buffers: Vec::new(),
            body: Vec::new(),
            raw: 0,
            spare: Vec::new(),
        }
    }

    pub fn clear(&mut self) {
        self.nodes.clear();
        self.buffers.clear();
        self.body.clear();
        self.raw = 0;
    }

    pub fn buffer(&mut self, raw: &[u8]) -> io::Result<()> {
        let start = self.body.len();
        self.packing.append(raw, &mut self.body)?;
        let length = self.body.len() - start;
        self.buffers.push(Buffer::new(start as i64, length as i64));
        message::pad(&mut self.body);
        self.raw += raw.len().next_multiple_of(ALIGNMENT);
        Ok(())
    }

    pub fn each<const N: usize>(
        &mut self,
        values: impl Iterator<Item = [u8; N]>,
    ) -> io::Result<()> {
        let mut raw = std::mem::take(&mut self.spare);
        raw.clear();
        values.for_each(|value| raw.extend_from_slice(&value));
        let done = self.buffer(&raw);
        self.spare = raw;
        done
    }

    pub fn bits(&mut self, rows: usize, bit: impl Fn(usize) -> bool) -> io::Result<()> {
        let byte = |first: usize| {
            let rows = first..rows.min(first + 8);
            let bits = rows.map(|row| u8::from(bit(row)) << (row - first));
            [bits.sum()]
        };
        self.each((0..rows).step_by(8).map(byte))
    }

    /// Appends the message; returns how large it would be without compression.
    pub fn finish(&mut self, rows: usize, out: &mut Vec<u8>) -> usize {
        let start = out.len();
        let codec = self.packing.codec();
        message::batch(rows, &self.nodes, &self.buffers, codec, &self.body, out);
        out.len() - start - self.body.len() + self.raw
    }
}
