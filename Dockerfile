# docker build -t liif .
# docker build -t liif-gpu --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu126 .
# docker run --rm -v "$PWD:/data" liif upscale photos large --scale 4
ARG PYTHON=3.13
FROM python:${PYTHON}-slim

# torch from its own index: the CPU build is a tenth of the other's size
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1

WORKDIR /build
COPY constraints.txt pyproject.toml README.md LICENSE ./
RUN pip install --index-url "${TORCH_INDEX}" "$(sed -n '/^torch==/p' constraints.txt)"
COPY liif_cli ./liif_cli
COPY docs/man ./docs/man
RUN pip install -c constraints.txt ".[fast,formats,cog,cloud]" && rm -rf /build/*

# not root: what it writes belongs to whom the volume says (docker run --user)
RUN useradd --create-home liif
USER liif
# compiled code, kept for as long as the container is
ENV NUMBA_CACHE_DIR=/tmp/numba
WORKDIR /data
ENTRYPOINT ["liif"]
CMD ["--help"]
