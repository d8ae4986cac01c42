//! The calls of libvirt that the crate `virt` lacks, or gets wrong.
#![allow(unsafe_code)]

use std::{
    collections::HashMap,
    ffi::{c_char, c_int, c_uint, c_ulonglong, c_void, CStr, CString},
    mem::{self, ManuallyDrop},
    ops::Deref,
    ptr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use uuid::Uuid;
use virt::{connect::Connect, domain::Domain, error::Error};
use virt_sys as sys;

/// What libvirt tells of a domain unasked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Change {
    /// Its stored config was written.
    Defined,
    /// Its stored config is gone.
    Undefined,
    /// It was started, paused, stopped, or the like.
    Run,
    /// Somebody wrote to its metadata.
    Metadata,
}

/// Called on libvirt's event thread: must not call libvirt, nor wait for somebody who does.
pub(crate) type Listener = Arc<dyn Fn(Uuid, Change) + Send + Sync>;

/// A connection whose end cannot panic, with the callbacks that hold on to it.
pub(crate) struct Connection {
    connect: ManuallyDrop<Connect>,
    callbacks: Mutex<Vec<c_int>>,
}

impl Connection {
    /// Blocks for as long as libvirtd is frozen.
    pub(crate) fn open(uri: &str) -> Result<Self, Error> {
        Ok(Self {
            connect: ManuallyDrop::new(Connect::open(Some(uri))?),
            callbacks: Mutex::default(),
        })
    }

    /// Has `listener` told of every domain's changes until the connection is dropped.
    pub(crate) fn listen(&self, listener: &Listener) -> Result<(), Error> {
        let lifecycle: LifecycleCallback = on_lifecycle;
        let metadata: MetadataCallback = on_metadata;
        // SAFETY: libvirt's API has callers cast each event's own callback type to the generic one, and
        // calls it back by the type that belongs to the event's id.
        let (lifecycle, metadata) = unsafe {
            (
                mem::transmute::<LifecycleCallback, GenericCallback>(lifecycle),
                mem::transmute::<MetadataCallback, GenericCallback>(metadata),
            )
        };
        self.register(sys::VIR_DOMAIN_EVENT_ID_LIFECYCLE, lifecycle, listener)?;
        // Not every driver tells of this; tags are refreshed slowly anyway.
        if let Err(error) =
            self.register(sys::VIR_DOMAIN_EVENT_ID_METADATA_CHANGE, metadata, listener)
        {
            tracing::debug!(%error, "libvirt does not tell of changed metadata");
        }
        Ok(())
    }

    fn register(
        &self,
        event: sys::virDomainEventID,
        callback: GenericCallback,
        listener: &Listener,
    ) -> Result<(), Error> {
        let opaque = Box::into_raw(Box::new(Arc::clone(listener)));
        // SAFETY: the connection is open; a null domain means all of them; `opaque` is what both callbacks
        // take it for and lives until libvirt hands it to `free_listener`.
        let id = unsafe {
            sys::virConnectDomainEventRegisterAny(
                self.connect.as_ptr(),
                ptr::null_mut(),
                event as c_int,
                Some(callback),
                opaque.cast(),
                Some(free_listener),
            )
        };
        if id < 0 {
            let error = Error::last_error();
            // SAFETY: libvirt refused and did not keep it.
            drop(unsafe { Box::from_raw(opaque) });
            return Err(error);
        }
        lock(&self.callbacks).push(id);
        Ok(())
    }
}

impl Deref for Connection {
    type Target = Connect;

    fn deref(&self) -> &Connect {
        &self.connect
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        for id in lock(&self.callbacks).drain(..) {
            // SAFETY: the id is of this connection, which is not closed yet. A failure means that the
            // server is gone, and the callback with it.
            unsafe { sys::virConnectDomainEventDeregisterAny(self.connect.as_ptr(), id) };
        }
        // SAFETY: the one reference that `Connect` owns is given back here and never again, since
        // `ManuallyDrop` keeps its own destructor from running.
        unsafe { sys::virConnectClose(self.connect.as_ptr()) };
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

type GenericCallback = unsafe extern "C" fn(sys::virConnectPtr, sys::virDomainPtr, *mut c_void);
type LifecycleCallback =
    unsafe extern "C" fn(sys::virConnectPtr, sys::virDomainPtr, c_int, c_int, *mut c_void) -> c_int;
type MetadataCallback =
    unsafe extern "C" fn(sys::virConnectPtr, sys::virDomainPtr, c_int, *const c_char, *mut c_void);

unsafe extern "C" fn on_lifecycle(
    _: sys::virConnectPtr,
    domain: sys::virDomainPtr,
    event: c_int,
    _detail: c_int,
    opaque: *mut c_void,
) -> c_int {
    let change = match event as sys::virDomainEventType {
        sys::VIR_DOMAIN_EVENT_DEFINED => Change::Defined,
        sys::VIR_DOMAIN_EVENT_UNDEFINED => Change::Undefined,
        _ => Change::Run,
    };
    // SAFETY: libvirt calls with a domain that lives as long as the call and the pointer of `register`.
    unsafe { deliver(domain, opaque, change) };
    0
}

unsafe extern "C" fn on_metadata(
    _: sys::virConnectPtr,
    domain: sys::virDomainPtr,
    _kind: c_int,
    _uri: *const c_char,
    opaque: *mut c_void,
) {
    // SAFETY: as above.
    unsafe { deliver(domain, opaque, Change::Metadata) };
}

/// # Safety
/// `domain` must be valid, and `opaque` the pointer that `register` made.
unsafe fn deliver(domain: sys::virDomainPtr, opaque: *mut c_void, change: Change) {
    // SAFETY: promised by the caller; the listener is shared, never moved out.
    let (uuid, listener) = unsafe { (uuid_of(domain), &*opaque.cast::<Listener>()) };
    if let Some(uuid) = uuid {
        listener(uuid, change);
    }
}

unsafe extern "C" fn free_listener(opaque: *mut c_void) {
    // SAFETY: libvirt calls this once, with the pointer of `register`, after the last callback.
    drop(unsafe { Box::from_raw(opaque.cast::<Listener>()) });
}

/// # Safety
/// `domain` must be valid.
unsafe fn uuid_of(domain: sys::virDomainPtr) -> Option<Uuid> {
    let mut bytes = [0; 16];
    // SAFETY: libvirt writes VIR_UUID_BUFLEN, 16, bytes.
    let outcome = unsafe { sys::virDomainGetUUID(domain, bytes.as_mut_ptr()) };
    (outcome == 0).then(|| Uuid::from_bytes(bytes))
}

/// A domain's state and the reason for it, as libvirt numbers them.
pub(crate) fn state(domain: &Domain) -> Result<(c_int, c_int), Error> {
    let (mut state, mut reason) = (0, 0);
    // SAFETY: the domain is valid, and both numbers outlive the call.
    let outcome = unsafe { sys::virDomainGetState(domain.as_ptr(), &mut state, &mut reason, 0) };
    if outcome < 0 {
        return Err(Error::last_error());
    }
    Ok((state, reason))
}

/// The size of a disk, as the guest sees it.
pub(crate) fn disk_capacity(domain: &Domain, disk: &str) -> Result<u64, Error> {
    let disk = CString::new(disk)?;
    let mut info = sys::virDomainBlockInfo { capacity: 0, allocation: 0, physical: 0 };
    // SAFETY: the domain is valid, the name ends with NUL, and libvirt fills the struct it is given.
    let outcome =
        unsafe { sys::virDomainGetBlockInfo(domain.as_ptr(), disk.as_ptr(), &mut info, 0) };
    if outcome < 0 {
        return Err(Error::last_error());
    }
    Ok(info.capacity)
}

/// What is done with keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Keys {
    /// They are let in, too.
    Add,
    /// They are no longer let in.
    Remove,
}

/// Makes the guest's agent give up on a command after so long, whose caller would wait for ever else.
pub(crate) fn limit_agent(domain: &Domain, patience: Duration) -> Result<(), Error> {
    let seconds = c_int::try_from(patience.as_secs()).unwrap_or(c_int::MAX);
    // SAFETY: the domain is valid.
    let outcome = unsafe { sys::virDomainAgentSetResponseTimeout(domain.as_ptr(), seconds, 0) };
    if outcome < 0 {
        return Err(Error::last_error());
    }
    Ok(())
}

/// The keys that log in as that user, as the guest's agent reads them.
pub(crate) fn authorized_keys(domain: &Domain, user: &str) -> Result<Vec<String>, Error> {
    let user = CString::new(user)?;
    let mut list: *mut *mut c_char = ptr::null_mut();
    // SAFETY: the domain is valid, the text ends with NUL, and libvirt writes a list of its own.
    let count =
        unsafe { sys::virDomainAuthorizedSSHKeysGet(domain.as_ptr(), user.as_ptr(), &mut list, 0) };
    let Ok(count) = usize::try_from(count) else { return Err(Error::last_error()) };
    let mut keys = Vec::with_capacity(count);
    for index in 0..count {
        // SAFETY: libvirt made that many texts, each ours to free, as the list is.
        unsafe {
            let text = *list.add(index);
            keys.push(CStr::from_ptr(text).to_string_lossy().into_owned());
            libc::free(text.cast());
        }
    }
    // SAFETY: libvirt made it for us to free; a null one is left alone.
    unsafe { libc::free(list.cast()) };
    Ok(keys)
}

/// Has the guest's agent change the keys that log in as that user.
pub(crate) fn change_authorized_keys(
    domain: &Domain,
    user: &str,
    keys: &[String],
    how: Keys,
) -> Result<(), Error> {
    if keys.is_empty() {
        return Ok(());
    }
    let user = CString::new(user)?;
    let keys = keys.iter().map(|key| CString::new(key.as_str())).collect::<Result<Vec<_>, _>>()?;
    let mut pointers: Vec<*const c_char> = keys.iter().map(|key| key.as_ptr()).collect();
    let flags = match how {
        Keys::Add => sys::VIR_DOMAIN_AUTHORIZED_SSH_KEYS_SET_APPEND,
        Keys::Remove => sys::VIR_DOMAIN_AUTHORIZED_SSH_KEYS_SET_REMOVE,
    };
    // SAFETY: the domain is valid, the texts end with NUL and outlive the call, and the list has as many as
    // is said.
    let outcome = unsafe {
        sys::virDomainAuthorizedSSHKeysSet(
            domain.as_ptr(),
            user.as_ptr(),
            pointers.as_mut_ptr(),
            pointers.len() as c_uint,
            flags,
        )
    };
    if outcome < 0 {
        return Err(Error::last_error());
    }
    Ok(())
}

/// Sets a running domain's CPU shares.
pub(crate) fn set_cpu_shares(domain: &Domain, shares: u64) -> Result<(), Error> {
    let value = sys::_virTypedParameterValue { ul: c_ulonglong::from(shares) };
    let mut parameter = parameter("cpu_shares", sys::VIR_TYPED_PARAM_ULLONG, value);
    // SAFETY: the domain is valid, and the one parameter is counted as one.
    let outcome = unsafe {
        sys::virDomainSetSchedulerParametersFlags(
            domain.as_ptr(),
            &mut parameter,
            1,
            sys::VIR_DOMAIN_AFFECT_LIVE as c_uint,
        )
    };
    if outcome < 0 {
        return Err(Error::last_error());
    }
    Ok(())
}

/// Sets a running domain's weight at the disks.
pub(crate) fn set_io_weight(domain: &Domain, weight: u32) -> Result<(), Error> {
    let value = sys::_virTypedParameterValue { ui: weight };
    let mut parameter = parameter("weight", sys::VIR_TYPED_PARAM_UINT, value);
    // SAFETY: as above.
    let outcome = unsafe {
        sys::virDomainSetBlkioParameters(
            domain.as_ptr(),
            &mut parameter,
            1,
            sys::VIR_DOMAIN_AFFECT_LIVE as c_uint,
        )
    };
    if outcome < 0 {
        return Err(Error::last_error());
    }
    Ok(())
}

fn parameter(
    name: &str,
    kind: sys::virTypedParameterType,
    value: sys::_virTypedParameterValue,
) -> sys::virTypedParameter {
    let mut field = [0; sys::VIR_TYPED_PARAM_FIELD_LENGTH as usize];
    for (slot, byte) in field.iter_mut().zip(name.bytes()) {
        *slot = byte as c_char;
    }
    sys::virTypedParameter { field, type_: kind as c_int, value }
}

/// One domain's figures.
pub(crate) struct Record {
    /// Which.
    pub(crate) domain: Domain,
    /// By libvirt's names.
    pub(crate) values: HashMap<String, Value>,
}

/// A figure.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// Of any integer type that is not negative.
    Number(u64),
    /// A text.
    Text(String),
}

impl Record {
    /// A number of that name.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        match self.values.get(name) {
            Some(Value::Number(number)) => Some(*number),
            _ => None,
        }
    }

    /// A text of that name.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.values.get(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }
}

/// The figures of all domains, by one call.
pub(crate) fn all_stats(
    connection: &Connection,
    kinds: sys::virDomainStatsTypes,
    flags: sys::virConnectGetAllDomainStatsFlags,
) -> Result<Vec<Record>, Error> {
    let mut list = List(ptr::null_mut());
    // SAFETY: the connection is open; libvirt makes the list, which `List` frees.
    let count =
        unsafe { sys::virConnectGetAllDomainStats(connection.as_ptr(), kinds, &mut list.0, flags) };
    let count = usize::try_from(count).map_err(|_| Error::last_error())?;
    (0..count)
        // SAFETY: libvirt says that the list has `count` valid records.
        .map(|index| unsafe { record(*list.0.add(index)) })
        .collect()
}

struct List(*mut sys::virDomainStatsRecordPtr);

impl Drop for List {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: libvirt made it for us to free so, with its domains and parameters.
            unsafe { sys::virDomainStatsRecordListFree(self.0) };
        }
    }
}

/// # Safety
/// `record` must be one of a list that is not freed yet.
unsafe fn record(record: sys::virDomainStatsRecordPtr) -> Result<Record, Error> {
    // SAFETY: promised by the caller.
    let record = unsafe { &*record };
    // SAFETY: the list holds the domain; a reference of our own lets it outlive the list.
    let domain = unsafe {
        if sys::virDomainRef(record.dom) < 0 {
            return Err(Error::last_error());
        }
        Domain::from_ptr(record.dom)
    };
    let parameters = match usize::try_from(record.nparams) {
        Ok(count) if count > 0 && !record.params.is_null() => {
            // SAFETY: libvirt says that there are so many.
            unsafe { std::slice::from_raw_parts(record.params, count) }
        }
        _ => &[],
    };
    let values = parameters
        .iter()
        // SAFETY: the parameter is one that libvirt filled.
        .filter_map(|parameter| unsafe { value(parameter) })
        .collect();
    Ok(Record { domain, values })
}

/// # Safety
/// `parameter` must be filled by libvirt: its type says which member of the union is set.
unsafe fn value(parameter: &sys::virTypedParameter) -> Option<(String, Value)> {
    // SAFETY: the name ends with NUL within its field, and the type names the member that is read.
    let (name, value) = unsafe {
        let value = match parameter.type_ as sys::virTypedParameterType {
            sys::VIR_TYPED_PARAM_INT => Value::Number(u64::try_from(parameter.value.i).ok()?),
            sys::VIR_TYPED_PARAM_UINT => Value::Number(u64::from(parameter.value.ui)),
            sys::VIR_TYPED_PARAM_LLONG => Value::Number(u64::try_from(parameter.value.l).ok()?),
            sys::VIR_TYPED_PARAM_ULLONG => Value::Number(parameter.value.ul),
            sys::VIR_TYPED_PARAM_STRING if !parameter.value.s.is_null() => {
                Value::Text(CStr::from_ptr(parameter.value.s).to_string_lossy().into_owned())
            }
            _ => return None,
        };
        (CStr::from_ptr(parameter.field.as_ptr()), value)
    };
    Some((name.to_string_lossy().into_owned(), value))
}
