"""A TLS listener on loopback in front of a plain one: `tls_proxy.py LISTEN_PORT TARGET_PORT CA_FILE`.

The packaged Valkey server has no TLS. Makes a certificate authority for this run and writes its certificate to CA_FILE.
"""

import asyncio
import datetime
import ipaddress
import os
import ssl
import sys
import tempfile

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LOOPBACK = "127.0.0.1"


def certificate(name, key, issuer, issuer_key, *, is_authority):
    now = datetime.datetime.now(datetime.timezone.utc)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address(LOOPBACK))]
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )
    if not is_authority:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def tls_context(ca_file):
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Lark Service test authority")])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    authority = certificate(authority_name, authority_key, authority_name, authority_key, is_authority=True)
    leaf = certificate(name, key, authority_name, authority_key, is_authority=False)
    pem = serialization.Encoding.PEM
    with open(ca_file, "wb") as file:
        file.write(authority.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile(delete=False) as file:
        file.write(leaf.public_bytes(pem))
        file.write(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    try:
        context.load_cert_chain(file.name)
    finally:
        os.unlink(file.name)
    return context


async def copy(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass  # Either side may disconnect at any time; then close the other one.
    finally:
        writer.close()


async def main(listen_port, target_port, ca_file):
    async def serve(reader, writer):
        try:
            target_reader, target_writer = await asyncio.open_connection(LOOPBACK, target_port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(copy(reader, target_writer), copy(target_reader, writer))

    server = await asyncio.start_server(serve, LOOPBACK, listen_port, ssl=tls_context(ca_file))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
