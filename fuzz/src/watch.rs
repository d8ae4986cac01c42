//! Sees when an input breaks something, also in another thread, or never comes to an end.

use crate::Fate;
use std::{
    collections::hash_map::DefaultHasher,
    env, fs,
    hash::{Hash, Hasher},
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    process,
    sync::{
        atomic::{AtomicU64, Ordering},
        Arc, Mutex, Once, PoisonError,
    },
    thread,
    time::{Duration, Instant},
};

/// What takes this long on the slowest machine goes on for ever.
const FOR_EVER: Duration = Duration::from_secs(120);

/// Panics of all threads; those of an async task are swallowed by its runtime.
static PANICS: AtomicU64 = AtomicU64::new(0);

/// One input at a time, or a panic would be put down to another test's.
static ONE: Mutex<()> = Mutex::new(());

/// The input that is being judged, and since when.
type Current = Arc<Mutex<Option<(Instant, Vec<u8>)>>>;

pub(crate) struct Watch {
    corpus: PathBuf,
    current: Current,
}

impl Watch {
    pub(crate) fn new(corpus: &Path) -> Self {
        count_panics();
        let current = Current::default();
        let (watched, folder) = (Arc::downgrade(&current), corpus.to_owned());
        thread::spawn(move || {
            while let Some(current) = watched.upgrade() {
                if let Some((since, input)) = lock(&current).as_ref() {
                    if since.elapsed() > FOR_EVER {
                        eprintln!("no end: {}", keep(&folder, input));
                        process::abort();
                    }
                }
                drop(current);
                thread::sleep(Duration::from_millis(200));
            }
        });
        Self { corpus: corpus.to_owned(), current }
    }

    pub(crate) fn name(&self) -> String {
        name(&self.corpus)
    }

    pub(crate) fn judge(&self, input: &[u8], judge: impl Fn(&[u8]) -> Fate) -> Fate {
        let _one = lock(&ONE);
        let before = PANICS.load(Ordering::SeqCst);
        *lock(&self.current) = Some((Instant::now(), input.to_vec()));
        let fate = panic::catch_unwind(AssertUnwindSafe(|| judge(input)));
        *lock(&self.current) = None;
        match fate {
            Ok(fate) if PANICS.load(Ordering::SeqCst) == before => fate,
            _ => panic!("{}", keep(&self.corpus, input)),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let told = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            PANICS.fetch_add(1, Ordering::SeqCst);
            told(panic);
        }));
    });
}

fn name(corpus: &Path) -> String {
    corpus.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Keeps an input, and says where.
fn keep(corpus: &Path, input: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    input.hash(&mut hasher);
    let file = format!("quarry-fuzz-{}-{:016x}", name(corpus), hasher.finish());
    let path = env::temp_dir().join(file);
    match fs::write(&path, input) {
        Ok(()) => format!(
            "the input is kept in {}: copy it to {} once its fault is mended",
            path.display(),
            corpus.display()
        ),
        Err(error) => format!("the input could not be kept ({error}): {input:?}"),
    }
}
