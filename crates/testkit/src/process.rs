//! A program under test: a child process with its output in a file, which failures show.

use std::{
    ffi::OsStr,
    fs::{self, File},
    path::Path,
    process::{Child, ExitStatus, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};
use tempfile::NamedTempFile;

use crate::{child, wait};

/// A running (or ended) child. It is killed on drop and when the test process dies.
#[derive(Debug)]
pub struct Process {
    name: String,
    id: u32,
    child: Mutex<Child>,
    output: NamedTempFile,
}

impl Process {
    /// Starts `program` with arguments and additional environment; `name` is for messages.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start<A, K, V>(
        name: &str,
        program: impl AsRef<Path>,
        args: impl IntoIterator<Item = A>,
        env: impl IntoIterator<Item = (K, V)>,
    ) -> Self
    where
        A: AsRef<OsStr>,
        K: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        let program = program.as_ref();
        let output = NamedTempFile::with_prefix("leadline-output-").expect("a file for the output of a child");
        let writer = || File::options().append(true).open(output.path()).expect("the output file can be opened");
        let mut command = child::bound_to_us(program);
        command.args(args).envs(env).stdin(Stdio::null()).stdout(writer()).stderr(writer());
        let child = child::start(command)
            .unwrap_or_else(|error| panic!("{name}: {} did not start: {error}", program.display()));
        Self { name: name.into(), id: child.id(), child: Mutex::new(child), output }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Its output so far, of both streams.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.output.path()).unwrap_or_default()).into_owned()
    }

    /// Sends SIGKILL, and waits until the process has ended.
    pub fn kill(&self) {
        child::kill(&mut self.child());
    }

    /// Sends SIGTERM, which asks the process to drain.
    pub fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Sends SIGSTOP: the process keeps its connections and does nothing, as if its machine hung.
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Sends SIGCONT: the process continues after [`freeze`](Self::freeze).
    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    pub fn is_running(&self) -> bool {
        matches!(self.child().try_wait(), Ok(None))
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If the process still runs after `deadline`; the message has its output.
    pub async fn wait_exit(&self, deadline: Duration) -> ExitStatus {
        let ended = wait::attempt(deadline, async || self.child().try_wait().ok().flatten()).await;
        ended.unwrap_or_else(|_| panic!("{} still runs after {deadline:?}; its output:\n{}", self.name, self.output()))
    }

    /// Waits until its output has a line that contains `text`, and returns that line.
    ///
    /// # Panics
    /// If there is no such line before `deadline`, or the process ends first; the message has its output.
    pub async fn wait_line(&self, text: &str, deadline: Duration) -> String {
        let line = wait::attempt(deadline, async || {
            // This is checked before the output is read; otherwise the last lines of an ending process would be missed.
            let ended = !self.is_running();
            let line = self.output().lines().find(|line| line.contains(text)).map(str::to_owned);
            (line.is_some() || ended).then_some(line)
        })
        .await;
        line.ok().flatten().unwrap_or_else(|| {
            panic!("{} wrote no line with {text:?} in {deadline:?}; its output:\n{}", self.name, self.output())
        })
    }

    /// A signal has no effect on a process that has ended. Its id cannot belong to another process, because it is
    /// reaped only under the same lock.
    fn signal(&self, signal: Signal) {
        let mut child = self.child();
        if matches!(child.try_wait(), Ok(None)) {
            let _ = signal::kill(Pid::from_raw(self.id.cast_signed()), signal);
        }
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- output of {}:\n{}---", self.name, self.output());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(10);
    const NO_ENV: [(&str, &str); 0] = [];

    #[tokio::test]
    async fn keeps_output_and_exit_status() {
        let process = Process::start("sh", "sh", ["-c", "echo $WORD; exit 3"], [("WORD", "hello")]);
        assert_eq!(process.wait_line("hel", SOON).await, "hello");
        assert_eq!(process.wait_exit(SOON).await.code(), Some(3));
        assert!(!process.is_running());
        process.terminate();
    }

    #[tokio::test]
    async fn terminates_and_kills() {
        let stubborn = Process::start("tail", "tail", ["-f", "/dev/null"], NO_ENV);
        stubborn.terminate();
        assert_eq!(stubborn.wait_exit(SOON).await.code(), None);
        let frozen = Process::start("tail", "tail", ["-f", "/dev/null"], NO_ENV);
        frozen.freeze();
        frozen.kill();
        assert!(!frozen.is_running());
    }

    #[tokio::test]
    #[should_panic(expected = "wrote no line with \"missing\"")]
    async fn wait_ends_when_the_process_ends() {
        Process::start("sh", "sh", ["-c", "echo other"], NO_ENV).wait_line("missing", Duration::from_secs(600)).await;
    }
}
