//! What the store has, who uses it, and what goes first when room is needed.

use crate::{Digest, FetchError, ImageFormat, StoredImage};
use std::collections::HashMap;

/// The store's books. Nothing here touches a file.
#[derive(Debug)]
pub(crate) struct Shelf {
    limit: u64,
    images: HashMap<Digest, Image>,
    /// Downloads that broke off: what they take, and since when.
    broken_off: HashMap<Digest, (u64, u64)>,
    /// Downloads under way: what they take or will take.
    under_way: HashMap<Digest, u64>,
    /// How many VMs have each image.
    vms: HashMap<Digest, usize>,
    clock: u64,
}

#[derive(Debug)]
struct Image {
    bytes: u64,
    held: usize,
    last_use: u64,
    /// What it was found to be, in this process.
    inspected: Option<(ImageFormat, u64)>,
}

/// What has to go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Victim {
    Image(Digest),
    BrokenOff(Digest),
}

impl Shelf {
    pub(crate) fn new(limit: u64) -> Self {
        Self {
            limit,
            images: HashMap::new(),
            broken_off: HashMap::new(),
            under_way: HashMap::new(),
            vms: HashMap::new(),
            clock: 0,
        }
    }

    fn now(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// An image that is there now.
    pub(crate) fn add(&mut self, digest: Digest, bytes: u64) {
        self.broken_off.remove(&digest);
        self.under_way.remove(&digest);
        let last_use = self.now();
        let image = Image { bytes, held: 0, last_use, inspected: None };
        self.images.insert(digest, image);
    }

    /// An image that is not there any more.
    pub(crate) fn remove(&mut self, digest: &Digest) {
        self.images.remove(digest);
    }

    pub(crate) fn contains(&self, digest: &Digest) -> bool {
        self.images.contains_key(digest)
    }

    /// Keeps it until it is let go; whether it is there.
    pub(crate) fn hold(&mut self, digest: &Digest) -> bool {
        let now = self.now();
        let image = self.images.get_mut(digest);
        image.map(|image| (image.held, image.last_use) = (image.held + 1, now)).is_some()
    }

    pub(crate) fn let_go(&mut self, digest: &Digest) {
        if let Some(image) = self.images.get_mut(digest) {
            image.held = image.held.saturating_sub(1);
        }
    }

    pub(crate) fn inspected(&self, digest: &Digest) -> Option<(ImageFormat, u64)> {
        self.images.get(digest)?.inspected
    }

    pub(crate) fn set_inspected(&mut self, digest: &Digest, found: (ImageFormat, u64)) {
        if let Some(image) = self.images.get_mut(digest) {
            image.inspected = Some(found);
        }
    }

    pub(crate) fn set_vms(&mut self, digests: impl IntoIterator<Item = Digest>) {
        self.vms.clear();
        digests.into_iter().for_each(|digest| self.add_vm(digest));
    }

    pub(crate) fn add_vm(&mut self, digest: Digest) {
        *self.vms.entry(digest).or_default() += 1;
    }

    pub(crate) fn remove_vm(&mut self, digest: &Digest) {
        let left = self.vms.get_mut(digest).map(|count| {
            *count = count.saturating_sub(1);
            *count
        });
        if left == Some(0) {
            self.vms.remove(digest);
        }
    }

    /// A download that broke off is gone on with: it makes no room for others any more.
    pub(crate) fn go_on(&mut self, digest: Digest) {
        if let Some((bytes, _)) = self.broken_off.remove(&digest) {
            self.under_way.insert(digest, bytes);
        }
    }

    pub(crate) fn broke_off(&mut self, digest: Digest, bytes: u64) {
        self.under_way.remove(&digest);
        self.broken_off.remove(&digest);
        if bytes > 0 {
            let now = self.now();
            self.broken_off.insert(digest, (bytes, now));
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        let images = self.images.values().map(|image| image.bytes);
        let broken_off = self.broken_off.values().map(|(bytes, _)| *bytes);
        images.chain(broken_off).chain(self.under_way.values().copied()).sum()
    }

    fn in_use(&self, digest: &Digest, image: &Image) -> bool {
        image.held > 0 || self.vms.contains_key(digest)
    }

    pub(crate) fn list(&self) -> Vec<StoredImage> {
        let images = self.images.iter().map(|(digest, image)| StoredImage {
            digest: *digest,
            bytes: image.bytes,
            in_use: self.in_use(digest, image),
        });
        let mut images: Vec<_> = images.collect();
        images.sort_by_key(|image| image.digest);
        images
    }

    /// Sets room aside for a download, `bytes` in all, and says what has to go for it.
    pub(crate) fn set_aside(
        &mut self,
        digest: Digest,
        bytes: u64,
    ) -> Result<Vec<Victim>, FetchError> {
        self.broken_off.remove(&digest);
        let before = self.under_way.insert(digest, bytes);
        let victims = self.victims();
        match &victims {
            Some(victims) => victims.iter().for_each(|victim| match victim {
                Victim::Image(digest) => drop(self.images.remove(digest)),
                Victim::BrokenOff(digest) => drop(self.broken_off.remove(digest)),
            }),
            None => {
                self.under_way.insert(digest, before.unwrap_or(0));
            }
        }
        victims.ok_or(FetchError::NoRoom { needed: bytes, limit: self.limit })
    }

    /// What must go to keep the limit: downloads that broke off, then images, the one first that was
    /// used last the longest ago. None if all that would not do.
    fn victims(&self) -> Option<Vec<Victim>> {
        let mut over = self.bytes().saturating_sub(self.limit);
        let broken_off = self.broken_off.iter();
        let broken_off =
            broken_off.map(|(id, (bytes, since))| (0, *since, *bytes, Victim::BrokenOff(*id)));
        let idle = self.images.iter().filter(|(digest, image)| !self.in_use(digest, image));
        let idle = idle.map(|(id, image)| (1, image.last_use, image.bytes, Victim::Image(*id)));
        let mut all: Vec<_> = broken_off.chain(idle).collect();
        all.sort_by_key(|(kind, since, ..)| (*kind, *since));
        let mut victims = Vec::new();
        for (.., bytes, victim) in all {
            if over == 0 {
                break;
            }
            over = over.saturating_sub(bytes);
            victims.push(victim);
        }
        (over == 0).then_some(victims)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;

    const A: Digest = [1; 32];
    const B: Digest = [2; 32];
    const C: Digest = [3; 32];
    const D: Digest = [4; 32];

    fn shelf_of_a_b_c() -> Shelf {
        let mut shelf = Shelf::new(30);
        [A, B, C].into_iter().for_each(|digest| shelf.add(digest, 10));
        shelf
    }

    #[test]
    fn the_image_used_last_the_longest_ago_goes_first() {
        let mut shelf = shelf_of_a_b_c();
        assert!(shelf.hold(&A));
        shelf.let_go(&A);
        assert_eq!(shelf.set_aside(D, 10).unwrap(), [Victim::Image(B)]);
        assert!(shelf.contains(&A) && !shelf.contains(&B) && shelf.contains(&C));
        assert_eq!(shelf.bytes(), 30);
    }

    #[test]
    fn what_is_held_or_has_a_vm_never_goes() {
        let mut shelf = shelf_of_a_b_c();
        assert!(shelf.hold(&A));
        shelf.set_vms([B, B]);
        shelf.remove_vm(&B);
        assert_eq!(shelf.set_aside(D, 10).unwrap(), [Victim::Image(C)]);
        let error = shelf.set_aside(D, 11).unwrap_err();
        assert!(matches!(error, FetchError::NoRoom { needed: 11, limit: 30 }), "{error}");
        assert!(!error.is_terminal());
        assert!(shelf.contains(&A) && shelf.contains(&B));
        assert_eq!(shelf.bytes(), 30);
        shelf.remove_vm(&B);
        assert_eq!(shelf.set_aside(D, 11).unwrap(), [Victim::Image(B)]);
    }

    #[test]
    fn what_is_in_use_stays_even_over_the_limit() {
        let mut shelf = Shelf::new(5);
        shelf.set_vms([A]);
        shelf.add(A, 10);
        assert!(shelf.set_aside(B, 0).is_err());
        assert!(shelf.contains(&A));
    }

    #[test]
    fn two_holders_keep_an_image_until_both_let_go() {
        let mut shelf = Shelf::new(10);
        shelf.add(A, 10);
        assert!(shelf.hold(&A) && shelf.hold(&A));
        shelf.let_go(&A);
        assert!(shelf.set_aside(B, 1).is_err());
        shelf.let_go(&A);
        assert_eq!(shelf.set_aside(B, 1).unwrap(), [Victim::Image(A)]);
    }

    #[test]
    fn broken_off_downloads_go_before_images() {
        let mut shelf = Shelf::new(30);
        shelf.add(A, 10);
        shelf.set_aside(B, 10).unwrap();
        shelf.broke_off(B, 10);
        assert_eq!(shelf.bytes(), 20);
        assert_eq!(shelf.set_aside(C, 20).unwrap(), [Victim::BrokenOff(B)]);
        assert!(shelf.contains(&A));
    }

    #[test]
    fn a_download_that_goes_on_is_not_counted_twice() {
        let mut shelf = Shelf::new(30);
        shelf.broke_off(A, 20);
        assert_eq!(shelf.set_aside(A, 30).unwrap(), []);
        assert_eq!(shelf.bytes(), 30);
        shelf.add(A, 30);
        assert_eq!(shelf.bytes(), 30);
    }

    #[test]
    fn a_download_that_goes_on_makes_no_room_for_another() {
        let mut shelf = Shelf::new(30);
        shelf.broke_off(A, 20);
        shelf.go_on(A);
        assert!(shelf.set_aside(B, 20).is_err());
        assert_eq!(shelf.bytes(), 20);
        assert_eq!(shelf.set_aside(A, 30).unwrap(), []);
    }

    #[test]
    fn an_image_that_is_not_there_is_not_held() {
        assert!(!Shelf::new(1).hold(&A));
    }
}
