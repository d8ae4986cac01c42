//! Compiles the runtime to wasm.

fn main() {
    #[cfg(feature = "std")]
    {
        let builder = substrate_wasm_builder::WasmBuilder::init_with_defaults();
        #[cfg(feature = "production")]
        let builder = builder.enable_metadata_hash("QRY", 12);
        builder.build();
    }
}
