//! Who makes and ends instances of the plugin? One thread, one thing after the other, as the header promises.

use super::room::{Room, Seat, say_line};
use overlay_api::channel::{FromVarpd, Instance, PluginInfo, Request, Verified, VnicInfo};
use overlay_api::{DeviceId, file};
use overlay_varpd::abi::raw::VARPD_SAVE_MAX;
use overlay_varpd::abi::{Level, Module, Object};
use std::collections::HashMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

/// How often a plugin may save what it knows, besides at the end.
const SAVE_EVERY: Duration = Duration::from_secs(60);
/// Numbers of instances that are only tried: those of overlays have 32 bits.
const TRIED: u64 = 1 << 32;

/// What is to be done.
pub(super) enum Job {
    /// An overlay wants an instance.
    Start(Box<Instance>),
    /// And no longer.
    End(DeviceId),
    /// Would this one start?
    Verify(Box<Request>),
    /// A VNIC came (true) or went.
    Vnic(VnicInfo, bool),
    /// It is all over.
    Finish(Sender<()>),
}

/// The way to the thread.
pub(super) struct Control(Sender<Job>);

impl Control {
    /// Starts it. `cache` is the folder for what the plugin saves.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(super) fn start(room: &'static Room, module: &'static Module, cache: Option<PathBuf>) -> io::Result<Self> {
        let (sender, jobs) = channel();
        let thread = Thread { room, module, cache, saved: HashMap::new(), names: HashMap::new(), complained: false };
        Builder::new().name("control".to_owned()).spawn(move || thread.run(&jobs))?;
        Ok(Self(sender))
    }

    /// Has something done.
    pub(super) fn give(&self, job: Job) {
        // The thread ends with the process.
        let _ = self.0.send(job);
    }

    /// Ends all instances, if that does not take longer than this.
    pub(super) fn finish(&self, most: Duration) {
        let (sender, finished) = channel();
        self.give(Job::Finish(sender));
        // In time or not: it is over.
        let _ = finished.recv_timeout(most);
    }
}

struct Thread {
    room: &'static Room,
    module: &'static Module,
    cache: Option<PathBuf>,
    /// What each instance has saved last.
    saved: HashMap<u64, Vec<u8>>,
    /// The overlays of the instances, which their files are called after.
    names: HashMap<u64, String>,
    /// It was said that something is not kept; once is enough, it is tried every minute.
    complained: bool,
}

impl Thread {
    fn run(mut self, jobs: &Receiver<Job>) {
        let mut due = Instant::now() + SAVE_EVERY;
        loop {
            match jobs.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(Job::Start(told)) => self.start(&told),
                Ok(Job::End(device)) => self.end(device.0.into()),
                Ok(Job::Verify(request)) => self.verify(&request),
                Ok(Job::Vnic(vnic, there)) => {
                    if let Some(seat) = self.room.seat(vnic.device.0.into()) {
                        self.vnic(&seat, &vnic, there);
                    }
                }
                Ok(Job::Finish(finished)) => {
                    self.room.all().iter().for_each(|seat| self.end(seat.number));
                    // Whoever waits may have lost patience.
                    let _ = finished.send(());
                    return;
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.room.all().iter().for_each(|seat| self.save(seat));
                    due = Instant::now() + SAVE_EVERY;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Up to set_property, which is all that may be tried.
    fn made(&self, number: u64, told: &Instance) -> Result<Object<'static>, String> {
        let object = {
            let _call = self.room.calls.begin("create");
            self.module.create(number, told)?
        };
        let set = values(self.module.info(), told).into_iter().try_for_each(|(name, value)| {
            let _call = self.room.calls.begin("set_property");
            object.set_property(name, value).map_err(|problem| format!("property {name}: {problem}"))
        });
        match set {
            Ok(()) => Ok(object),
            Err(problem) => {
                self.destroy(object);
                Err(problem)
            }
        }
    }

    fn destroy(&self, object: Object<'static>) {
        let _call = self.room.calls.begin("destroy");
        drop(object);
    }

    fn start(&mut self, told: &Instance) {
        let number = told.device.0.into();
        self.end(number);
        let seat = Arc::new(Seat::new(number, told, Some(told.device)));
        self.room.add(Arc::clone(&seat));
        let started = self.made(number, told).and_then(|object| {
            if let Some(bytes) = self.kept(told.name.as_str()) {
                let _call = self.room.calls.begin("restore");
                object.restore(&bytes);
            }
            let started = {
                let _call = self.room.calls.begin("start");
                object.start()
            };
            match started {
                Ok(()) => Ok(object),
                Err(problem) => {
                    self.destroy(object);
                    Err(problem)
                }
            }
        });
        match started {
            Ok(object) => {
                *seat.object.write().unwrap_or_else(PoisonError::into_inner) = Some(object);
                self.names.insert(number, told.name.to_string());
                told.vnics.iter().for_each(|vnic| self.vnic(&seat, vnic, true));
                self.room.has_started(&seat, None);
            }
            Err(problem) => self.room.has_started(&seat, Some(format!("{}: it does not start: {problem}", self.module.info().name))),
        }
    }

    fn end(&mut self, number: u64) {
        // It stays known until it is destroyed: the plugin may speak for it.
        let Some(seat) = self.room.seat(number) else { return };
        // Lookups go on to their end before that, and new ones are not asked: the time of stop begins after it.
        let object = seat.object.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(object) = &object {
            let _call = self.room.calls.begin("stop");
            object.stop();
        }
        if let Some(object) = object {
            self.keep(number, &object);
            self.destroy(object);
        }
        self.room.remove(number);
        self.saved.remove(&number);
        self.names.remove(&number);
    }

    fn verify(&self, Request { token, instance }: &Request) {
        let number = TRIED + token;
        self.room.add(Arc::new(Seat::new(number, instance, None)));
        let made = self.made(number, instance);
        let problem = made.map(|object| self.destroy(object)).err();
        self.room.remove(number);
        self.room.say_to_varpd(FromVarpd::Verified(Verified { token: *token, problem }));
    }

    fn vnic(&self, seat: &Seat, vnic: &VnicInfo, there: bool) {
        let object = seat.object.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(object) = &*object {
            let _call = self.room.calls.begin(if there { "vnic_added" } else { "vnic_removed" });
            object.vnic(vnic, there);
        }
    }

    fn save(&mut self, seat: &Seat) {
        let object = seat.object.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(object) = &*object {
            self.keep(seat.number, object);
        }
    }

    /// Writes down what an instance wants kept, if that is anything new.
    fn keep(&mut self, number: u64, object: &Object<'_>) {
        let (Some(folder), Some(name)) = (&self.cache, self.names.get(&number)) else { return };
        let saved = {
            let _call = self.room.calls.begin("save");
            object.save()
        };
        let Some(bytes) = saved.filter(|bytes| self.saved.get(&number) != Some(bytes)) else { return };
        match write(folder, name, &bytes) {
            Ok(()) => drop(self.saved.insert(number, bytes)),
            Err(problem) => {
                let level = if std::mem::replace(&mut self.complained, true) { Level::Debug } else { Level::Warn };
                say_line(level, &format!("what it knows for overlay {name} is not kept: {problem}"));
            }
        }
    }

    /// What an overlay's instance of before has kept.
    fn kept(&self, name: &str) -> Option<Vec<u8>> {
        let path = self.cache.as_ref()?.join(name);
        // Where there is no folder, nothing is left over; what cannot be removed does no harm but take its place.
        let _ = file::clean(&path);
        read(&path).ok().filter(|bytes| bytes.len() <= VARPD_SAVE_MAX)
    }
}

/// Writes a file; no bytes are no file.
fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), String> {
    let path = folder.join(name);
    if bytes.is_empty() {
        return match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(format!("{}: {error}", path.display())),
            _ => Ok(()),
        };
    }
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    file::write(&path, bytes, file::Mode::Private).map_err(|error| error.to_string())
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(VARPD_SAVE_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The properties that an instance is told: what was set, and the defaults of the others, in the order of their declarations.
fn values<'a>(info: &'a PluginInfo, told: &'a Instance) -> Vec<(&'a str, &'a str)> {
    let value = |name: &str| told.properties.get(name).map(String::as_str);
    info.properties.iter().filter_map(|one| Some((one.name.as_str(), value(&one.name).or(one.default.as_deref())?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_empty_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("acme");
        assert_eq!(write(&inner, "ov1", &[]), Ok(()), "there was none");
        assert_eq!(write(&inner, "ov1", b"known"), Ok(()));
        assert_eq!(read(&inner.join("ov1")).unwrap(), b"known");
        assert_eq!(write(&inner, "ov1", &[]), Ok(()));
        assert_eq!(inner.read_dir().unwrap().count(), 0);
        std::fs::create_dir(inner.join("ov2")).unwrap();
        assert!(write(&inner, "ov2", &[]).unwrap_err().contains("/acme/ov2: "));
    }
}
