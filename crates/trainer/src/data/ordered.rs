//! Work spread over threads whose results come out in order. At most `window` results exist at a
//! time; an error or a panic of a job comes out in its place; dropping the iterator stops and
//! joins the threads.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::DataError;

type Outcome<T> = Result<T, DataError>;

/// Results of `job(0)`, `job(1)`, ... in that order.
pub struct Ordered<T> {
    jobs: Option<Sender<usize>>,
    /// The other end of `jobs`, to empty it.
    queue: Receiver<usize>,
    results: Receiver<(usize, Outcome<T>)>,
    /// Results that came before their turn.
    early: BTreeMap<usize, Outcome<T>>,
    next: usize,
    issued: usize,
    len: usize,
    threads: Vec<JoinHandle<()>>,
}

impl<T: Send + 'static> Ordered<T> {
    /// Runs `job` for 0 to `len` on `workers` threads (at least one), at most `window` (at least
    /// `workers`) ahead of the caller.
    pub fn start(
        len: usize,
        workers: usize,
        window: usize,
        job: impl Fn(usize) -> Outcome<T> + Send + Sync + 'static,
    ) -> Result<Self, DataError> {
        let workers = workers.clamp(1, len.max(1));
        let window = window.max(workers);
        // Neither channel ever holds more than the jobs under way, so no send can block.
        let (jobs, queue) = bounded(window);
        let (result_queue, results) = bounded(window);
        let job = Arc::new(job);
        let mut ordered = Self {
            jobs: Some(jobs),
            queue,
            results,
            early: BTreeMap::new(),
            next: 0,
            issued: 0,
            len,
            threads: Vec::with_capacity(workers),
        };
        for _ in 0..workers {
            let (queue, out) = (ordered.queue.clone(), result_queue.clone());
            let job = Arc::clone(&job);
            let thread = thread::Builder::new()
                .name("loader".into())
                .spawn(move || work(&queue, &out, job.as_ref()))
                .map_err(|source| DataError::Thread { source })?;
            ordered.threads.push(thread);
        }
        (0..window).for_each(|_| ordered.issue());
        Ok(ordered)
    }

    fn issue(&mut self) {
        if self.issued < self.len
            && let Some(jobs) = &self.jobs
            && jobs.send(self.issued).is_ok()
        {
            self.issued += 1;
        }
    }

    fn take_next(&mut self) -> Outcome<T> {
        loop {
            if let Some(result) = self.early.remove(&self.next) {
                return result;
            }
            match self.results.recv() {
                Ok((index, result)) => self.early.insert(index, result),
                Err(_) => {
                    return Err(DataError::Worker { reason: "all loader threads ended".into() });
                }
            };
        }
    }
}

impl<T: Send + 'static> Iterator for Ordered<T> {
    type Item = Outcome<T>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.len {
            return None;
        }
        let result = self.take_next();
        self.next += 1;
        self.issue();
        Some(result)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len - self.next, Some(self.len - self.next))
    }
}

impl<T: Send + 'static> ExactSizeIterator for Ordered<T> {}

impl<T> Drop for Ordered<T> {
    fn drop(&mut self) {
        self.jobs = None;
        // What is queued but not begun need not be done.
        while self.queue.try_recv().is_ok() {}
        for thread in self.threads.drain(..) {
            // Jobs run inside catch_unwind, so a thread has nothing to report when it ends.
            let _ = thread.join();
        }
    }
}

fn work<T>(
    queue: &Receiver<usize>,
    out: &Sender<(usize, Outcome<T>)>,
    job: &impl Fn(usize) -> Outcome<T>,
) {
    for index in queue {
        let result = catch_unwind(AssertUnwindSafe(|| job(index)))
            .unwrap_or_else(|panic| Err(DataError::Worker { reason: text_of(panic.as_ref()) }));
        if out.send((index, result)).is_err() {
            return;
        }
    }
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn results_come_in_order_however_long_each_takes() {
        let job = |i: usize| {
            thread::sleep(Duration::from_micros((i as u64 * 7919) % 500));
            Ok(i)
        };
        for workers in [1, 3, 8] {
            let found: Result<Vec<_>, _> = Ordered::start(50, workers, 9, job).unwrap().collect();
            assert_eq!(found.unwrap(), (0..50).collect::<Vec<_>>());
        }
        assert_eq!(Ordered::start(0, 2, 4, job).unwrap().count(), 0);
    }

    #[test]
    fn a_panic_comes_out_in_its_place_and_the_rest_follows() {
        let job = |i: usize| if i == 2 { panic!("picture {i}") } else { Ok(i) };
        let results: Vec<_> = Ordered::start(4, 2, 4, job).unwrap().collect();
        assert_eq!(
            results.iter().map(Result::is_ok).collect::<Vec<_>>(),
            [true, true, false, true]
        );
        let Err(DataError::Worker { reason }) = &results[2] else { panic!("{:?}", results[2]) };
        assert_eq!(reason, "picture 2");
    }

    #[test]
    fn never_runs_further_ahead_than_the_window_and_stops_when_dropped() {
        let started = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&started);
        let mut ordered = Ordered::start(1000, 2, 5, move |i| {
            counter.fetch_add(1, Ordering::SeqCst);
            Ok(i)
        })
        .unwrap();
        for i in 0..3 {
            assert_eq!(ordered.next().unwrap().unwrap(), i);
        }
        thread::sleep(Duration::from_millis(50));
        assert!(started.load(Ordering::SeqCst) <= 8);
        drop(ordered);
        assert!(started.load(Ordering::SeqCst) <= 8);
        assert_eq!(Arc::strong_count(&started), 1, "the threads have ended");
    }
}
