//! Decompression of one zstd frame, a bounded piece at a time.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use zstd::zstd_safe::{DCtx, InBuffer, OutBuffer, get_error_name};

use crate::cell::GilCell;

/// A decoder of one frame, used as those of Python's `bz2` are.
#[pyclass(frozen, module = "gaia._core")]
pub struct Unzstd(GilCell<Frame>);

struct Frame {
    context: DCtx<'static>,
    /// Given, and from `taken` on not used yet.
    input: Vec<u8>,
    taken: usize,
    /// Whether the last piece was as long as it could be, so that there may be more.
    full: bool,
    ended: bool,
}

#[pymethods]
impl Unzstd {
    #[new]
    fn new() -> Self {
        Self(GilCell::new(Frame {
            context: DCtx::create(),
            input: Vec::new(),
            taken: 0,
            full: false,
            ended: false,
        }))
    }

    /// What follows of the frame's content, `max_length` bytes at most.
    fn decompress<'py>(
        &self,
        py: Python<'py>,
        data: &[u8],
        max_length: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let mut frame = self.0.borrow_mut(py)?;
        let frame = &mut *frame;
        frame.input.drain(..frame.taken);
        frame.taken = 0;
        frame.input.extend_from_slice(data);
        let made = py.detach(|| frame.decode(max_length));
        made.map(|made| PyBytes::new(py, &made))
            .map_err(PyValueError::new_err)
    }

    /// Whether the frame has ended.
    #[getter]
    fn eof(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.0.borrow_mut(py)?.ended)
    }

    /// Whether there is nothing more to be had without more data.
    #[getter]
    fn needs_input(&self, py: Python<'_>) -> PyResult<bool> {
        let frame = self.0.borrow_mut(py)?;
        Ok(!frame.ended && !frame.full && frame.taken == frame.input.len())
    }

    /// What was given beyond the frame's end.
    #[getter]
    fn unused_data<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let frame = self.0.borrow_mut(py)?;
        let unused = if frame.ended {
            &frame.input[frame.taken..]
        } else {
            b""
        };
        Ok(PyBytes::new(py, unused))
    }
}

impl Frame {
    fn decode(&mut self, most: usize) -> Result<Vec<u8>, &'static str> {
        let mut made = Vec::with_capacity(most);
        let mut input = InBuffer::around(&self.input[self.taken..]);
        while !self.ended {
            let before = (input.pos(), made.len());
            let mut output = OutBuffer::around_pos(&mut made, before.1);
            let left = self.context.decompress_stream(&mut output, &mut input);
            self.ended = left.map_err(get_error_name)? == 0;
            if (input.pos(), made.len()) == before {
                break;
            }
        }
        self.taken += input.pos();
        self.full = made.len() == most;
        Ok(made)
    }
}
