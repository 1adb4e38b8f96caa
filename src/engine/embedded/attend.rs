//! Staying with a container to its end: its output, requests to stop, how it ended.

use std::io::Read;
use std::process::ExitStatus;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use rustix::process::Signal;

use super::process::Process;
use crate::engine::lines::Lines;
use crate::engine::{Ended, EngineError, Output, StopRequests};

/// How often requests to stop are looked at.
const TICK: Duration = Duration::from_millis(100);
/// How often the end is looked for once all output has been read.
const LAST_TICK: Duration = Duration::from_millis(5);
/// Lines that may wait to be handed over before the container has to.
const LINES: usize = 256;

const KILLED: i32 = 128 + Signal::KILL.as_raw();

pub fn attend(
    mut process: Process,
    stop: &StopRequests,
    output: &mut dyn FnMut(Output),
) -> Result<Ended, EngineError> {
    let kills_before = out_of_memory_kills();
    let lines = read(&mut process);
    let mut stopping = Stopping { stop, done: 0 };
    let mut last_error = None;
    loop {
        stopping.look(&process);
        match lines.recv_timeout(TICK) {
            Ok(line) => {
                if let Output::Err(text) = &line {
                    last_error = Some(text.clone());
                }
                output(line);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    wait(&mut process, &mut stopping)?;
    let code = process.exit_code().ok_or_else(|| EngineError::NotStarted {
        reason: last_error.unwrap_or_else(|| "it gave no reason".into()),
    })?;
    let killed = code == KILLED && stopping.done < 2;
    Ok(Ended { code, out_of_memory: killed && out_of_memory_kills() > kills_before })
}

fn wait(process: &mut Process, stopping: &mut Stopping) -> Result<ExitStatus, EngineError> {
    loop {
        match process.bubblewrap.try_wait().map_err(EngineError::io("wait for bwrap"))? {
            Some(status) => return Ok(status),
            None => std::thread::sleep(LAST_TICK),
        }
        stopping.look(process);
    }
}

/// Passes requests to stop on to the container, each once.
struct Stopping<'a> {
    stop: &'a StopRequests,
    done: u8,
}

impl Stopping<'_> {
    fn look(&mut self, process: &Process) {
        let asked = self.stop.load(Ordering::Relaxed).min(2);
        if asked > self.done {
            self.done = asked;
            process.signal(if asked == 1 { Signal::INT } else { Signal::KILL });
        }
    }
}

/// The lines of both streams, until both have ended.
fn read(process: &mut Process) -> Receiver<Output> {
    let (sender, receiver) = sync_channel(LINES);
    if let Some(out) = process.bubblewrap.stdout.take() {
        let sender = sender.clone();
        std::thread::spawn(move || forward(out, &sender, Output::Out));
    }
    if let Some(err) = process.bubblewrap.stderr.take() {
        std::thread::spawn(move || forward(err, &sender, Output::Err));
    }
    receiver
}

fn forward(mut stream: impl Read, sender: &SyncSender<Output>, kind: fn(String) -> Output) {
    let mut lines = Lines::default();
    // Nobody listens any more when the run has failed.
    let mut emit = |line| drop(sender.send(kind(line)));
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => lines.push(&buffer[..count], &mut emit),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    lines.finish(&mut emit);
}

/// Processes that the kernel has killed for want of memory, since it started.
fn out_of_memory_kills() -> u64 {
    let counters = std::fs::read_to_string("/proc/vmstat").unwrap_or_default();
    let count = counters.lines().find_map(|line| line.strip_prefix("oom_kill "));
    count.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}
