//! Where a task spends its time: a thread looks, many times a second, at the step that the task is in.
//!
//! Whoever enters a step, user code or Gaia's own, leaves a mark, so that the thread needs neither
//! the GIL nor a look at frames. While nobody samples, a mark is the test of one static.

use std::cell::{Cell, OnceCell};
use std::ffi::c_int;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicUsize};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::cell::GilCell;

/// Where a thread is: twice the number of a step (from 1 on), and one more for what Gaia does for it.
type Place = u32;

const GAIA: Place = 1;

/// How many samplers there are in this process.
static SAMPLERS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static SAMPLED: Cell<Option<&'static Slot>> = const { Cell::new(None) };
    static OWN: OnceCell<&'static Slot> = const { OnceCell::new() };
}

/// What is known of a thread that is sampled. There is one for every thread that ever was.
struct Slot {
    place: AtomicU32,
    steps: GilCell<Vec<String>>,
    asked: Mutex<Asked>,
}

/// The thread is asked for the line of user code that it is at, for so many samples.
#[derive(Default)]
struct Asked {
    place: Place,
    time: Duration,
    samples: u64,
}

fn sampled() -> Option<&'static Slot> {
    if SAMPLERS.load(Relaxed) == 0 {
        return None;
    }
    SAMPLED.get()
}

/// Leaves the place again when it is dropped.
#[must_use]
pub struct Mark(Option<(&'static Slot, Place)>);

impl Drop for Mark {
    fn drop(&mut self) {
        if let Some((slot, before)) = self.0 {
            slot.place.store(before, Relaxed);
        }
    }
}

fn mark(place: impl FnOnce(Place) -> Place) -> Mark {
    Mark(sampled().map(|slot| {
        let before = slot.place.load(Relaxed);
        slot.place.store(place(before), Relaxed);
        (slot, before)
    }))
}

/// User code of the step at hand begins.
pub fn users() -> Mark {
    mark(|place| place & !GAIA)
}

/// User code of the step at hand has called Gaia.
pub fn gaias() -> Mark {
    mark(|place| place | GAIA)
}

/// A step, by its name, as marks need it.
#[derive(Clone, Copy)]
pub struct Step(Place);

impl Step {
    pub fn new(py: Python<'_>, name: &str) -> PyResult<Self> {
        match sampled() {
            Some(slot) => slot.step(py, name),
            None => Ok(Self(0)),
        }
    }

    /// Gaia begins to work for the step.
    pub fn mark(self) -> Mark {
        mark(|_| self.0 | GAIA)
    }
}

impl Slot {
    fn step(&self, py: Python<'_>, name: &str) -> PyResult<Step> {
        let mut steps = self.steps.borrow_mut(py)?;
        let found = steps.iter().position(|step| step == name);
        let number = found.unwrap_or_else(|| {
            steps.push(name.to_owned());
            steps.len() - 1
        });
        Ok(Step((number as Place + 1) * 2))
    }
}

/// Samples the thread that makes it, until it is stopped.
#[pyclass(frozen, module = "gaia._core")]
pub struct Sampler {
    slot: &'static Slot,
    process: u32,
    running: GilCell<Option<Running>>,
}

struct Running {
    stop: Sender<()>,
    looks: JoinHandle<Vec<(Duration, u64)>>,
}

/// Step, whether it is user code, seconds, samples.
type Row = (String, bool, f64, u64);

#[pymethods]
impl Sampler {
    /// Looks every so many seconds. When it finds user code it sends the signal, if that is not 0,
    /// to the thread, whose handler is to ask what is `asked`.
    #[new]
    fn new(py: Python<'_>, every: f64, signal: c_int) -> PyResult<Self> {
        if SAMPLED.get().is_some() {
            return Err(PyRuntimeError::new_err("this thread is sampled already"));
        }
        let slot = OWN.with(|own| {
            *own.get_or_init(|| {
                Box::leak(Box::new(Slot {
                    place: AtomicU32::new(0),
                    steps: GilCell::new(Vec::new()),
                    asked: Mutex::new(Asked::default()),
                }))
            })
        });
        slot.place.store(0, Relaxed);
        slot.steps.borrow_mut(py)?.clear();
        *slot.asked.lock().unwrap_or_else(PoisonError::into_inner) = Asked::default();
        // SAFETY: it takes nothing and cannot fail.
        let thread = unsafe { libc::pthread_self() };
        let (stop, stopped) = channel();
        let every = Duration::from_secs_f64(every);
        let looks = std::thread::Builder::new()
            .name("gaia profile".to_owned())
            .spawn(move || slot.look((thread, signal), || stopped.recv_timeout(every)))?;
        SAMPLED.set(Some(slot));
        SAMPLERS.fetch_add(1, Relaxed);
        Ok(Self {
            slot,
            process: std::process::id(),
            running: GilCell::new(Some(Running { stop, looks })),
        })
    }

    /// The thread goes on to a step: to the user's code of it, or to what Gaia does for it.
    fn enter(&self, py: Python<'_>, step: &str, users: bool) -> PyResult<()> {
        let Step(place) = self.slot.step(py, step)?;
        let place = if users { place } else { place | GAIA };
        self.slot.place.store(place, Relaxed);
        Ok(())
    }

    /// The step whose line of user code is to be told, the seconds and the samples; None where the
    /// thread has gone on to other code since.
    fn asked(&self, py: Python<'_>) -> PyResult<Option<(String, f64, u64)>> {
        // In a fork that user code has made, the lock may never be free.
        let Ok(mut asked) = self.slot.asked.try_lock() else {
            return Ok(None);
        };
        let Asked {
            place,
            time,
            samples,
        } = std::mem::take(&mut *asked);
        drop(asked);
        if samples == 0 || place != self.slot.place.load(Relaxed) {
            return Ok(None);
        }
        let step = self.slot.steps.borrow_mut(py)?[place as usize / 2 - 1].clone();
        Ok(Some((step, time.as_secs_f64(), samples)))
    }

    /// Ends sampling; returns for each step, and user code or not, the seconds and samples.
    fn stop(&self, py: Python<'_>) -> PyResult<Vec<Row>> {
        let Some(Running { stop, looks }) = self.running.borrow_mut(py)?.take() else {
            return Ok(Vec::new());
        };
        SAMPLED.set(None);
        SAMPLERS.fetch_sub(1, Relaxed);
        if self.process != std::process::id() {
            return Ok(Vec::new()); // User code has forked, which leaves the thread behind.
        }
        drop(stop);
        let spent = py.detach(|| looks.join()).unwrap_or_default();
        let steps = self.slot.steps.borrow_mut(py)?;
        let rows = spent.iter().zip(0..).skip(2);
        let rows = rows.filter(|((_, samples), _)| *samples > 0);
        Ok(rows
            .map(|((time, samples), place)| {
                let step = steps[place as usize / 2 - 1].clone();
                (step, place & GAIA == 0, time.as_secs_f64(), *samples)
            })
            .collect())
    }
}

impl Slot {
    /// The thread that looks; returns the time and samples of each place.
    fn look(
        &self,
        (thread, signal): (libc::pthread_t, c_int),
        wait: impl Fn() -> Result<(), RecvTimeoutError>,
    ) -> Vec<(Duration, u64)> {
        let mut spent: Vec<(Duration, u64)> = Vec::new();
        let mut last = Instant::now();
        while wait() == Err(RecvTimeoutError::Timeout) {
            let place = self.place.load(Relaxed);
            let time = last.elapsed();
            last += time;
            let at = place as usize;
            if spent.len() <= at {
                spent.resize(at + 1, (Duration::ZERO, 0));
            }
            spent[at].0 += time;
            spent[at].1 += 1;
            if signal != 0 && place != 0 && place & GAIA == 0 && self.ask(place, time) {
                // SAFETY: the thread that is sampled lives on until this one has ended.
                unsafe { libc::pthread_kill(thread, signal) };
            }
        }
        spent
    }

    /// Notes that a line is to be told; whether the thread has to hear of it. It comes to that when
    /// it goes on with Python code, so until then samples of one place add up.
    fn ask(&self, place: Place, time: Duration) -> bool {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let first = asked.samples == 0;
        if first || asked.place == place {
            asked.place = place;
            asked.time += time;
            asked.samples += 1;
        }
        first
    }
}
