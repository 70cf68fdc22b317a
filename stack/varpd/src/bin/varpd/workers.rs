//! Who does what may take long? A few threads for starts and ends of instances, and a few for questions that somebody waits for.

use crate::Varpd;
use overlay_varpd::instances::{Instances, Task};
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Builder;

/// Threads of each kind: a plugin that hangs holds up one.
const THREADS: usize = 4;

/// The threads. They end when this and what they have to do does.
#[derive(Clone)]
pub(crate) struct Workers {
    usual: Sender<Task>,
    urgent: Sender<Task>,
}

impl Workers {
    /// Starts them.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(crate) fn start(varpd: &Arc<Varpd>) -> io::Result<Self> {
        let queue = |name: &str| {
            let (sender, receiver) = channel();
            let receiver = Arc::new(Mutex::new(receiver));
            for _ in 0..THREADS {
                let (varpd, receiver) = (Arc::clone(varpd), Arc::clone(&receiver));
                Builder::new().name(name.to_owned()).spawn(move || work(&varpd, &receiver))?;
            }
            Ok::<_, io::Error>(sender)
        };
        Ok(Self { usual: queue("start")?, urgent: queue("verify")? })
    }

    /// Has done what instances want done.
    pub(crate) fn give_all(&self, instances: &mut Instances) {
        while let Some(task) = instances.poll_task() {
            let queue = if task.is_urgent() { &self.urgent } else { &self.usual };
            // A thread takes it: none ends before this does.
            let _ = queue.send(task);
        }
    }
}

fn work(varpd: &Varpd, tasks: &Mutex<Receiver<Task>>) {
    loop {
        let task = tasks.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(task) = task else { return };
        let mut done = task.run();
        // What follows from a start that came too late is its end, and nothing follows from that.
        while let Some(result) = done.take() {
            let mut instances = varpd.instances();
            instances.handle_done(result);
            let next = instances.poll_task();
            drop(instances);
            done = next.and_then(Task::run);
        }
    }
}
