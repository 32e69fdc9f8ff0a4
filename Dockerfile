# The image of the Home Assistant app: one static binary and nothing else. Supervisor builds it on the
# user's machine as long as config.yaml names no image; BUILD_FROM then comes from build.yaml.
ARG BUILD_FROM=docker.io/library/rust:1.95.0-alpine

FROM ${BUILD_FROM} AS build
WORKDIR /source
COPY . .
# chroot proves that the binary is static: it finds no library to load there.
RUN cargo build --release --locked \
    && install -D target/release/wallcast /built/usr/bin/wallcast \
    && chroot /built /usr/bin/wallcast --version

FROM scratch
COPY rootfs/ /
COPY --from=build /built/ /

ARG BUILD_ARCH=unknown
ARG BUILD_VERSION=unknown
LABEL io.hass.type="app" \
      io.hass.name="Wallcast" \
      io.hass.description="Pairs wall tablets with your home and sends each one the events that concern it" \
      io.hass.arch="${BUILD_ARCH}" \
      io.hass.version="${BUILD_VERSION}" \
      org.opencontainers.image.title="Wallcast" \
      org.opencontainers.image.description="Pairs wall tablets with your home and sends each one the events that concern it" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/wallcast/wallcast" \
      org.opencontainers.image.version="${BUILD_VERSION}"

EXPOSE 8443
# Checks the process and its listener, but not Home Assistant: restarting the app would not repair that.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 CMD ["/usr/bin/wallcast", "health"]
# Runs as root, confined by apparmor.txt: only root can read /data, its options file, and usually the keys in
# /ssl.
ENTRYPOINT ["/usr/bin/wallcast"]
