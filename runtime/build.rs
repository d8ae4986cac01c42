//! Compiles the runtime to wasm.

fn main() {
    #[cfg(feature = "wasm")]
    {
        // The builder gives the wasm's own build each feature that it finds set; this one would build
        // the builder in there once more.
        std::env::remove_var("CARGO_FEATURE_WASM");
        let builder = substrate_wasm_builder::WasmBuilder::init_with_defaults();
        #[cfg(feature = "production")]
        let builder = builder.enable_metadata_hash("QRY", 12);
        builder.build();
    }
}
