// Four things of the operating system that Node lacks: read-only maps of files as external ArrayBuffers
// (src/storage/memory-map.ts), advisory file locks (src/storage/file-lock.ts), loading a library beside other work
// (src/engine/native.ts), and ending with the process that started this one (src/job/refresh/refresh-process.ts).
//
// Every worker thread loads the add-on for itself; only the library under way is shared between them.
// Two traps. A write into the buffer kills the process (the pages are read-only). So does a read behind the end of a
// file that somebody has cut short since: files that are mapped must be replaced by a rename, never rewritten in place.
#include <dlfcn.h>
#include <fcntl.h>
#include <napi.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>

namespace {

// What the system refused, with the code's name as Node's own file errors have it.
Napi::Error systemError(Napi::Env env, const std::string& code, const std::string& message) {
  Napi::Error error = Napi::Error::New(env, code + ": " + message);
  error.Set("code", Napi::String::New(env, code));
  return error;
}

std::string codeName(int number) {
  switch (number) {
    case ENOENT:
      return "ENOENT";
    case ENOTDIR:
      return "ENOTDIR";
    case EACCES:
      return "EACCES";
    case EPERM:
      return "EPERM";
    case ELOOP:
      return "ELOOP";
    case ENAMETOOLONG:
      return "ENAMETOOLONG";
    case EMFILE:
      return "EMFILE";
    case ENFILE:
      return "ENFILE";
    case ENOMEM:
      return "ENOMEM";
    case EIO:
      return "EIO";
    case ENXIO:
      return "ENXIO";
    case ENODEV:
      return "ENODEV";
    case EROFS:
      return "EROFS";
    case ENOSPC:
      return "ENOSPC";
    case EDQUOT:
      return "EDQUOT";
    case EISDIR:
      return "EISDIR";
    case ENOLCK:
      return "ENOLCK";
    case EOPNOTSUPP:
      return "EOPNOTSUPP";
    case ENOSYS:
      return "ENOSYS";
    case ESTALE:
      return "ESTALE";
    default:
      return "ERRNO" + std::to_string(number);
  }
}

[[noreturn]] void throwErrno(Napi::Env env, int number) {
  throw systemError(env, codeName(number), std::generic_category().message(number));
}

class Descriptor {
 public:
  Descriptor(Napi::Env env, const std::string& path) {
    // Without O_NONBLOCK opening a pipe would wait for its writer for ever.
    do {
      number_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    } while (number_ < 0 && errno == EINTR);
    if (number_ < 0) throwErrno(env, errno);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { ::close(number_); }
  int number() const { return number_; }

 private:
  int number_;
};

struct Mapping {
  void* base;
  size_t length;
  ~Mapping() { ::munmap(base, length); }
};

size_t sizeArgument(const Napi::CallbackInfo& info, size_t index, const char* name) {
  const double value = info[index].IsNumber() ? info[index].As<Napi::Number>().DoubleValue() : -1;
  if (!(value >= 0 && value <= 9007199254740991.0) || std::floor(value) != value) {
    throw Napi::TypeError::New(info.Env(), std::string("map: ") + name + " is not a whole number from 0");
  }
  return static_cast<size_t>(value);
}

std::string pathArgument(const Napi::CallbackInfo& info) {
  if (!info[0].IsString()) throw Napi::TypeError::New(info.Env(), "path is not a string");
  std::string path = info[0].As<Napi::String>().Utf8Value();
  if (path.find('\0') != std::string::npos) throw systemError(info.Env(), "ENOENT", "the path holds a null character");
  return path;
}

size_t regularFileSize(Napi::Env env, const Descriptor& file) {
  struct stat status {};
  if (::fstat(file.number(), &status) != 0) throwErrno(env, errno);
  if (S_ISDIR(status.st_mode)) throw systemError(env, "EISDIR", "is a folder");
  if (!S_ISREG(status.st_mode)) throw systemError(env, "ENOTREG", "is not a regular file");
  return static_cast<size_t>(status.st_size);
}

Napi::ArrayBuffer mapped(Napi::Env env, const Descriptor& file, size_t offset, size_t length) {
  const size_t page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t lead = offset % page;
  void* base = ::mmap(nullptr, length + lead, PROT_READ, MAP_SHARED, file.number(), static_cast<off_t>(offset - lead));
  if (base == MAP_FAILED) throwErrno(env, errno);
  // The plain C call, since the C++ wrapper frees its finaliser twice when Node refuses the buffer as too large. The
  // finaliser owns the map from here on: Node runs it in that case too.
  //
  // V8 counts the bytes as if they were heap, and nothing is taken off that account here. Its limits are relative to
  // the last collection, so a large map costs one collection when it is made and none afterwards, and maps that nobody
  // refers to any more are soon found. Taking the bytes off again costs a second collection, when they are put back at
  // the end.
  napi_value buffer = nullptr;
  const napi_status status = napi_create_external_arraybuffer(
      env, static_cast<uint8_t*>(base) + lead, length,
      [](napi_env, void*, void* owned) { delete static_cast<Mapping*>(owned); }, new Mapping{base, length + lead},
      &buffer);
  if (status != napi_ok) throw Napi::Error::New(env);
  return Napi::ArrayBuffer(env, buffer);
}

// map(path, offset, length) → ArrayBuffer over these bytes of the file; without a length: to its end. No bytes: an
// ordinary empty buffer.
Napi::Value map(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::string path = pathArgument(info);
  const size_t offset = sizeArgument(info, 1, "offset");
  const Descriptor file(env, path);
  const size_t size = regularFileSize(env, file);
  if (offset > size) throw Napi::RangeError::New(env, "map: the range begins behind the end of the file");
  const size_t length = info[2].IsUndefined() ? size - offset : sizeArgument(info, 2, "length");
  if (length > size - offset) throw Napi::RangeError::New(env, "map: the range ends behind the end of the file");
  if (length == 0) return Napi::ArrayBuffer::New(env, 0);
  return mapped(env, file, offset, length);
}

// lock(path) → descriptor of the file, made if it isn't there, which this process alone has locked; undefined when
// another holds it. The lock goes with the descriptor: closed by hand, or by the system whatever way the process ends.
Napi::Value lock(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::string path = pathArgument(info);
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0644);
  if (file < 0) throwErrno(env, errno);
  int status = 0;
  do {
    status = ::flock(file, LOCK_EX | LOCK_NB);
  } while (status != 0 && errno == EINTR);
  if (status == 0) return Napi::Number::New(env, file);
  const int reason = errno;
  ::close(file);
  if (reason == EWOULDBLOCK) return env.Undefined();
  throwErrno(env, reason);
}

// The one library that is being loaded ahead.
std::mutex aheadMutex;
std::thread ahead;

// loadAhead(path): begins to load the library in a thread. Whoever loads it for good later waits for what is left, and
// is told then what is wrong with it; a failure here is none. The thread must have ended before the process does, or
// the library's constructors and destructors run into one another: awaitAhead() at the exit.
Napi::Value loadAhead(const Napi::CallbackInfo& info) {
  const std::string path = pathArgument(info);
  const std::lock_guard<std::mutex> guard(aheadMutex);
  if (ahead.joinable()) return info.Env().Undefined();
  // As Node loads add-ons.
  ahead = std::thread([path] { ::dlopen(path.c_str(), RTLD_LAZY | RTLD_LOCAL); });
  return info.Env().Undefined();
}

Napi::Value awaitAhead(const Napi::CallbackInfo& info) {
  const std::lock_guard<std::mutex> guard(aheadMutex);
  if (ahead.joinable()) ahead.join();
  return info.Env().Undefined();
}

// endWithParent(): the kernel kills this process when the one that started it is gone, however that ended and whatever
// this one is doing.
Napi::Value endWithParent(const Napi::CallbackInfo& info) {
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) throw systemError(info.Env(), codeName(errno), "endWithParent");
  return info.Env().Undefined();
}

// No exception leaves C++ as anything but a JavaScript error.
template <Napi::Value (*body)(const Napi::CallbackInfo&)>
Napi::Value guarded(const Napi::CallbackInfo& info) {
  try {
    return body(info);
  } catch (const Napi::Error&) {
    throw;
  } catch (const std::exception& error) {
    throw Napi::Error::New(info.Env(), error.what());
  } catch (...) {
    throw Napi::Error::New(info.Env(), "unknown failure in mmap.node");
  }
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("map", Napi::Function::New(env, guarded<map>, "map"));
  exports.Set("lock", Napi::Function::New(env, guarded<lock>, "lock"));
  exports.Set("loadAhead", Napi::Function::New(env, guarded<loadAhead>, "loadAhead"));
  exports.Set("endWithParent", Napi::Function::New(env, guarded<endWithParent>, "endWithParent"));
  exports.Set("awaitAhead", Napi::Function::New(env, guarded<awaitAhead>, "awaitAhead"));
  return exports;
}

}  // namespace

NODE_API_MODULE(mmap, init)
