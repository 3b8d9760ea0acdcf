// libcrypto: SHA-256 and AES-128 against their standards' examples (FIPS 180-4, FIPS 197), and a message of
// the seed's own encrypted and decrypted again.
#include <cstdint>
#include <cstring>
#include <openssl/evp.h>
#include <vector>

namespace {

using Bytes = std::vector<unsigned char>;

Bytes sha256(const Bytes& message) {
  Bytes digest(32);
  return EVP_Digest(message.data(), message.size(), digest.data(), nullptr, EVP_sha256(), nullptr) == 1
             ? digest
             : Bytes();
}

Bytes aes(const Bytes& key, const Bytes& iv, const Bytes& input, bool encrypts) {
  const EVP_CIPHER* const cipher = iv.empty() ? EVP_aes_128_ecb() : EVP_aes_128_ctr();
  EVP_CIPHER_CTX* const context = EVP_CIPHER_CTX_new();
  Bytes output(input.size() + 16);
  int bytes = 0, more = 0;
  const bool done =
      EVP_CipherInit_ex(context, cipher, nullptr, key.data(), iv.empty() ? nullptr : iv.data(),
                        encrypts ? 1 : 0) == 1 &&
      EVP_CIPHER_CTX_set_padding(context, 0) == 1 &&
      EVP_CipherUpdate(context, output.data(), &bytes, input.data(), static_cast<int>(input.size())) == 1 &&
      EVP_CipherFinal_ex(context, output.data() + bytes, &more) == 1;
  EVP_CIPHER_CTX_free(context);
  output.resize(done ? static_cast<std::size_t>(bytes + more) : 0);
  return output;
}

Bytes counting(unsigned char step, std::size_t n) {
  Bytes bytes(n);
  for (std::size_t i = 0; i < n; ++i)
    bytes[i] = static_cast<unsigned char>(i * step);
  return bytes;
}

} // namespace

extern "C" int proberace_workload(std::uint64_t seed) {
  // FIPS 180-4's example: "abc".
  const Bytes abc_digest{0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40,
                         0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17,
                         0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
  if (sha256({'a', 'b', 'c'}) != abc_digest)
    return 1;
  // FIPS 197, appendix C.1.
  const Bytes key = counting(1, 16);
  const Bytes plain = counting(0x11, 16);
  const Bytes cipher{0x69, 0xc4, 0xe0, 0xd8, 0x6a, 0x7b, 0x04, 0x30,
                     0xd8, 0xcd, 0xb7, 0x80, 0x70, 0xb4, 0xc5, 0x5a};
  if (aes(key, {}, plain, true) != cipher)
    return 2;
  if (aes(key, {}, cipher, false) != plain)
    return 3;
  Bytes message(200 + seed % 100);
  std::memcpy(message.data(), &seed, sizeof seed);
  const Bytes iv = counting(3, 16);
  return aes(key, iv, aes(key, iv, message, true), false) == message ? 0 : 4;
}

extern "C" const void* const* proberace_workload_objects() {
  static const void* const kObjects[] = {reinterpret_cast<const void*>(&EVP_sha256), nullptr};
  return kObjects;
}
